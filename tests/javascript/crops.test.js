import assert from "node:assert/strict";
import { test } from "node:test";
import { boxStyle } from "../../ravl_explore/widgets/static/crops/detail.js";
import { barWidth } from "../../ravl_explore/widgets/static/crops/facts.js";
import { keyMeaning } from "../../ravl_explore/widgets/static/crops/keyboard.js";
import { describe, placeText, tileLabel } from "../../ravl_explore/widgets/static/crops/words.js";

const meaning = (key, active) => keyMeaning(key, active, 10, 4); // rows 0-3, 4-7, 8-10

test("arrows to the side go by one, and over the ends of the page to the next one", () => {
  assert.deepEqual(meaning("ArrowLeft", 5), { to: 4 });
  assert.deepEqual(meaning("ArrowRight", 5), { to: 6 });
  assert.deepEqual(meaning("ArrowLeft", 0), { turn: -1, focus: -1 });
  assert.deepEqual(meaning("ArrowRight", 10), { turn: 1, focus: 0 });
});

test("arrows up and down go by one row, up from the first nowhere and down from the last to the end", () => {
  assert.deepEqual(meaning("ArrowUp", 5), { to: 1 });
  assert.deepEqual(meaning("ArrowUp", 3), { to: 3 });
  assert.deepEqual(meaning("ArrowDown", 5), { to: 9 });
  assert.deepEqual(meaning("ArrowDown", 7), { to: 10 });
});

test("the other keys", () => {
  assert.deepEqual(meaning("Home", 5), { to: 0 });
  assert.deepEqual(meaning("End", 5), { to: 10 });
  assert.deepEqual(meaning("PageUp", 5), { turn: -1, focus: 0 });
  assert.deepEqual(meaning("PageDown", 5), { turn: 1, focus: 0 });
  assert.deepEqual(meaning("Enter", 5), { open: true });
  assert.deepEqual(meaning(" ", 5), { open: true });
  assert.equal(meaning("a", 5), null);
});

const item = { label: "shirt", prediction: "bag", correct: false, cluster: 0, whole: false };

test("a crop is described by label, prediction and cluster, a whole image without a cluster", () => {
  assert.equal(describe(item), "label shirt, predicted bag (wrong), cluster 0");
  assert.equal(describe({ ...item, correct: true, cluster: null }), "label shirt, predicted bag, no cluster");
  assert.equal(describe({ ...item, whole: true }), "label shirt, predicted bag (wrong)");
  assert.equal(describe({ error: "no file" }), "cannot be shown: no file");
});

test("places are counted from 1", () => {
  assert.equal(tileLabel({ error: "x" }, 60, 99), "crop 61 of 99: cannot be shown: x");
  assert.match(tileLabel({ ...item, whole: true }, 0, 2), /^image 1 of 2: label/);
  assert.equal(placeText(60, 5, 65), "showing 61–65 of 65");
  assert.equal(placeText(0, 0, 0), "");
});

test("a bar never leaves its cell, and a box has the size of its region", () => {
  assert.deepEqual([-0.1, 0.25, 1.2].map(barWidth), [0, 25, 100]);
  const style = { left: "25%", top: "0%", width: "50%", height: "100%" };
  assert.deepEqual(boxStyle([0.25, 0, 0.75, 1]), style);
});
