import assert from "node:assert/strict";
import { test } from "node:test";
import { rowAfter, scrolledTo } from "../../ravl_explore/widgets/static/shared/rows.js";

test("arrows go by one and stop at the ends", () => {
  assert.equal(rowAfter("ArrowDown", 0, 3), 1);
  assert.equal(rowAfter("ArrowUp", 1, 3), 0);
  assert.equal(rowAfter("ArrowDown", 2, 3), null);
  assert.equal(rowAfter("ArrowUp", 0, 3), null);
});

test("Home and End go to the ends, and other keys nowhere", () => {
  assert.equal(rowAfter("Home", 2, 3), 0);
  assert.equal(rowAfter("End", 0, 3), 2);
  for (const key of ["a", "Enter", "PageDown", "toString"]) assert.equal(rowAfter(key, 1, 3), null);
});

test("a frame is scrolled only as far as it must be", () => {
  assert.equal(scrolledTo(10, 20, 0, 100), 0, "in sight");
  assert.equal(scrolledTo(0, 10, 50, 100), 0, "above");
  assert.equal(scrolledTo(140, 160, 50, 100), 60, "below");
  assert.equal(scrolledTo(50, 150, 50, 100), 50, "just fits");
});
