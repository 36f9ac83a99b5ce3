import assert from "node:assert/strict";
import { test } from "node:test";
import { SERIALIZERS, unpacked, withArrays } from "../../ravl_explore/widgets/static/figure/arrays.js";
import { relayOf } from "../../ravl_explore/widgets/static/figure/edits.js";
import { gestureOf } from "../../ravl_explore/widgets/static/figure/view.js";

test("buffers go back into their places", () => {
  const message = { style: { y: [{ dtype: "int8" }, { dtype: "int8" }] } };
  const paths = [
    ["message", "style", "y", 1, "buffer"],
    ["message", "style", "y", 0, "buffer"],
  ];
  const whole = unpacked({ message, paths }, ["b", "a"]);
  assert.deepEqual(
    whole.style.y.map(({ buffer }) => buffer),
    ["a", "b"],
  );
});

test("arrays come as base64 text in a state and as bytes in an edit", () => {
  const bytes = new Uint8Array(new Float32Array([9, 1.5, 2]).buffer);
  const bdata = Buffer.from(bytes).toString("base64");
  const part = new DataView(bytes.buffer, 4);
  const got = withArrays({
    a: { dtype: "float32", shape: [3], bdata },
    b: [{ dtype: "float32", shape: [2], buffer: part }],
  });
  assert.deepEqual(got, { a: new Float32Array([9, 1.5, 2]), b: [new Float32Array([1.5, 2])] });
});

test("whatever is no array stays, and plotly's word for undefined becomes it", () => {
  const plain = { dtype: "text", x: [null, 1, "a"], at: { dtype: "float32" } };
  assert.deepEqual(withArrays(plain), plain);
  assert.deepEqual(withArrays({ y: ["_undefined_"] }), { y: [undefined] });
  assert.equal(SERIALIZERS._py2js_update.deserialize("_undefined_"), undefined);
});

test("a gesture is a lasso, a box or a click, and an outline taken away is none", () => {
  const points = [{ pointNumber: 1 }];
  assert.deepEqual(gestureOf({ lassoPoints: { x: [1], y: [2] }, points }), {
    tool: "lasso",
    outline: { xs: [1], ys: [2] },
    points,
  });
  assert.deepEqual(gestureOf({ range: { x: [0, 1], y: [2, 3] } }), {
    tool: "box",
    outline: { xs: [0, 1], ys: [2, 3] },
    points: [],
  });
  assert.deepEqual(gestureOf({ points }), { tool: "click", outline: null, points });
  for (const none of [undefined, {}, { points: [] }]) assert.equal(gestureOf(none), null);
});

function relay() {
  const state = { sent: [], listening: [], waiting: [], heard: [] };
  const model = {
    get: (name) => `state of ${name}`,
    on: (name) => state.listening.push(name),
    off: (name) => state.listening.splice(state.listening.indexOf(name), 1),
  };
  const made = relayOf(model, (content) => state.sent.push(content));
  const listen = () => made.proxy.on("change:_py2js_update", () => state.heard.push(made.proxy.get("_py2js_update")));
  return { ...state, made, listen };
}

test("edits that came before plotly did are replayed in order, those that a state holds are not", () => {
  const { made, listen, heard } = relay();
  made.take("_py2js_update", "old");
  made.forget();
  made.take("_py2js_update", "first");
  made.take("_py2js_update", "second");
  listen();
  made.replay();
  made.take("_py2js_update", "third");
  made.take("_py2js_restyle", "to nobody");
  assert.deepEqual(heard, ["first", "second", "third"]);
  assert.equal(made.proxy.get("_py2js_update"), "state of _py2js_update", "afterwards");
});

test("what a view registered runs when its hand rests, until the view goes", () => {
  const { made, listen, heard, waiting, listening } = relay();
  made.replay();
  const unregister = made.registering((work) => waiting.push(work), listen);
  made.take("_py2js_update", "drawn");
  assert.deepEqual(heard, []);
  waiting[0]();
  assert.deepEqual(heard, ["drawn"]);
  unregister();
  made.take("_py2js_update", "too late");
  assert.deepEqual([waiting.length, listening], [1, []]);
});

test("what the user changed is sent at once", () => {
  const { made, sent } = relay();
  made.proxy.set("_js2py_relayout", { a: 1 });
  assert.deepEqual(sent, [{ kind: "change", name: "_js2py_relayout", message: { a: 1 } }]);
});
