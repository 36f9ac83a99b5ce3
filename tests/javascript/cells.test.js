import assert from "node:assert/strict";
import { test } from "node:test";
import { cellText, rowsInSight } from "../../ravl_explore/widgets/static/table/cells.js";

test("numbers are written by their format, and a dash where there is none", () => {
  assert.equal(cellText(null, "two"), "–");
  assert.equal(cellText(undefined, "text"), "–");
  assert.equal(cellText(12345, "integer"), "12,345");
  assert.equal(cellText(0.125, "three"), "0.125");
  assert.equal(cellText(1.005e-3, "two"), "0.00");
  assert.equal(cellText(0, "integer"), "0");
  assert.equal(cellText("<b>", "text"), "<b>");
});

test("a chance has more digits the smaller it is", () => {
  const written = [0.0009, 0.001, 0.0994, 0.1, 0.555, 1].map((value) => cellText(value, "chance"));
  assert.deepEqual(written, ["< 0.001", "0.001", "0.099", "0.10", "0.56", "1.00"]);
});

test("a row is in sight from four fifths of its height on", () => {
  const lines = [0, 1, 2, 3].map((i) => ({ offsetTop: 10 * i, offsetHeight: 10 }));
  assert.deepEqual(rowsInSight(lines, 0, 40), [0, 3]);
  assert.deepEqual(rowsInSight(lines, 2, 38), [0, 3]);
  assert.deepEqual(rowsInSight(lines, 3, 37), [1, 2]);
  assert.equal(rowsInSight(lines, 13, 16), null);
  assert.equal(rowsInSight([], 0, 40), null);
});
