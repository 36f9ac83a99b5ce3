// What a cell of the table of clusters says, and which of its rows are in sight.

/** A value as text: a dash where there is none. */
export function cellText(value, format) {
  if (value === null || value === undefined) return "–";
  if (format === "integer") return value.toLocaleString("en");
  if (format === "two") return value.toFixed(2);
  if (format === "three") return value.toFixed(3);
  if (format === "chance") return value < 0.001 ? "< 0.001" : value.toFixed(value < 0.1 ? 3 : 2);
  return String(value);
}

/** The first and the last row of which at least four fifths lie from `top` to `bottom`, or null if none does. */
export function rowsInSight(lines, top, bottom) {
  const first = lines.findIndex((line) => line.offsetTop + 0.2 * line.offsetHeight >= top);
  const last = lines.findLastIndex((line) => line.offsetTop + 0.8 * line.offsetHeight <= bottom);
  return first < 0 || last < first ? null : [first, last];
}
