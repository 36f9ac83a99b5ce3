import assert from "node:assert/strict";
import { test } from "node:test";
import { sortAfterClick, sorted } from "../../ravl_explore/widgets/static/shared/sorting.js";

const rows = [3, null, 1, 2, null].map((value, index) => ({ value, index }));
const of = (row) => row.value;

test("what is missing comes last whichever way the rest goes", () => {
  assert.deepEqual(sorted(rows, of, false).map(of), [1, 2, 3, null, null]);
  assert.deepEqual(sorted(rows, of, true).map(of), [3, 2, 1, null, null]);
});

test("equal ones keep their order, and what is given stays as it was", () => {
  const equal = ["b", "a", "b", "a"].map((value, index) => ({ value, index }));
  const order = (descending) => sorted(equal, of, descending).map((row) => row.index);
  assert.deepEqual(order(false), [1, 3, 0, 2]);
  assert.deepEqual(order(true), [0, 2, 1, 3]);
  assert.deepEqual(of(rows[0]), 3);
});

test("names are ordered as people read them", () => {
  const names = ["b", "Ä", "a", "B"].map((value) => ({ value }));
  assert.deepEqual(sorted(names, of, false).map(of), ["a", "Ä", "b", "B"]);
});

function clicks(column, count) {
  const orders = [{ sort: "other", descending: true }];
  for (let i = 0; i < count; i += 1) orders.push(sortAfterClick(orders[i], column));
  return orders.slice(1);
}

test("numbers go first from the highest, are turned round, and then restored", () => {
  assert.deepEqual(clicks({ key: "loss", number: true }, 4), [
    { sort: "loss", descending: true },
    { sort: "loss", descending: false },
    { sort: "", descending: false },
    { sort: "loss", descending: true },
  ]);
});

test("names go first from A", () => {
  assert.deepEqual(clicks({ key: "name", number: false }, 3), [
    { sort: "name", descending: false },
    { sort: "name", descending: true },
    { sort: "", descending: false },
  ]);
});
