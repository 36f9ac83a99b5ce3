// What is known about the opened crop: a list of facts, and its scores beside those of its whole image.
import { h } from "../shared/dom.js";
import { sign } from "./words.js";

/** A score from 0 to 1 as the width of its bar, in per cent. */
export function barWidth(score) {
  return 100 * Math.min(1, Math.max(0, score));
}

function scoreCell(score, level) {
  if (score === null) return h("td", {}, "–");
  const fill = h("span", { class: `rx-fill rx-${level}` });
  fill.style.width = `${barWidth(score)}%`;
  const bar = sign("rx-bar", fill);
  return h("td", {}, h("span", { class: "rx-score" }, bar, h("span", { class: "rx-number" }, score.toFixed(2))));
}

function scoreRow({ class_name, image, region }, detail) {
  const label = class_name === detail.label && h("small", {}, "label");
  const prediction = class_name === detail.prediction && h("small", {}, "predicted");
  const name = h("th", { scope: "row", title: class_name }, class_name, label, prediction);
  return h("tr", {}, name, scoreCell(image, "image"), scoreCell(region, "region"));
}

function scoreTable(detail) {
  const columns = ["Class", "Whole image", "This region"].map((text) => h("th", { scope: "col" }, text));
  const head = h("thead", {}, h("tr", {}, ...columns));
  const body = h("tbody", {}, ...detail.scores.map((score) => scoreRow(score, detail)));
  return h("div", { class: "rx-scores" }, h("table", {}, h("caption", {}, "Zero-shot scores"), head, body));
}

function factList(detail) {
  const [kind, text] = detail.correct ? ["rx-right", "✓ correct"] : ["rx-wrong", "✕ wrong"];
  const facts = [
    ["Label", [detail.label]],
    ["Predicted", [detail.prediction, h("span", { class: kind }, text)]],
    ...(detail.whole ? [] : [["Cluster", [detail.cluster === null ? "none" : String(detail.cluster)]]]),
    ["Image", [detail.whole ? String(detail.image) : `${detail.image}, region ${detail.region}`]],
  ];
  return h(
    "dl",
    { class: "rx-facts" },
    ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, ...value)]),
  );
}

/** All that is known, for under the image. */
export function factsOf(detail) {
  return h("div", { class: "rx-about" }, factList(detail), detail.scores.length ? scoreTable(detail) : null);
}
