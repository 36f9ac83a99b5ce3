// What a key does in the grid of crops.

/**
 * `{ to }`: the crop to move to, by its place on the page; `{ turn, focus }`: pages to turn by, and where the keyboard
 * goes then, 0 the first crop, -1 the last; `{ open }`: whether to open the active crop; null for any other key.
 */
export function keyMeaning(key, active, last, columns) {
  const open = { open: true };
  const meanings = {
    ArrowLeft: active > 0 ? { to: active - 1 } : { turn: -1, focus: -1 },
    ArrowRight: active < last ? { to: active + 1 } : { turn: 1, focus: 0 },
    ArrowUp: { to: active >= columns ? active - columns : active },
    ArrowDown: { to: Math.min(active + columns, last) },
    Home: { to: 0 },
    End: { to: last },
    PageUp: { turn: -1, focus: 0 },
    PageDown: { turn: 1, focus: 0 },
    Enter: open,
    " ": open,
  };
  return meanings[key] ?? null;
}
