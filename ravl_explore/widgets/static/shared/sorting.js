// The order of a table whose headings sort it.

/** What is missing comes last whichever way the rest goes; equal ones keep their order. */
export function sorted(rows, of, descending) {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [of(one), of(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}

/** Numbers first from the highest, names from A; the second click turns it round, the third restores the order. */
export function sortAfterClick(now, column) {
  const first = column.number;
  if (now.sort !== column.key) return { sort: column.key, descending: first };
  return now.descending === first ? { sort: column.key, descending: !first } : { sort: "", descending: false };
}
