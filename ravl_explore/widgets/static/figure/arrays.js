// Plotly's arrays travel as {dtype, shape, buffer}, in a state as {dtype, shape, bdata} with base64 text.

const ARRAYS = {
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};
const MESSAGES = [
  "addTraces",
  "deleteTraces",
  "moveTraces",
  "restyle",
  "relayout",
  "update",
  "animate",
  "removeLayoutProps",
  "removeTraceProps",
];

/** The message of an edit, with its buffers put back in their places. */
export function unpacked({ message, paths }, buffers) {
  const holder = { message };
  paths.forEach((path, i) => {
    const last = path[path.length - 1];
    path.slice(0, -1).reduce((place, key) => place[key], holder)[last] = buffers[i];
  });
  return holder.message;
}

/** The same with typed arrays, and with undefined where plotly wrote it as a word. */
export function withArrays(value) {
  if (value === "_undefined_") return undefined;
  if (Array.isArray(value)) return value.map(withArrays);
  if (value === null || typeof value !== "object") return value;
  return typedArray(value) ?? Object.fromEntries(Object.entries(value).map(([key, held]) => [key, withArrays(held)]));
}

function typedArray(value) {
  if (!(value.dtype in ARRAYS)) return null;
  const Typed = ARRAYS[value.dtype];
  if (typeof value.bdata === "string") {
    return new Typed(Uint8Array.from(atob(value.bdata), (letter) => letter.charCodeAt(0)).buffer);
  }
  const held = value.buffer ?? value.value;
  if (!held || !value.shape) return null;
  const whole = held.byteLength === held.buffer.byteLength;
  return new Typed(whole ? held.buffer : held.buffer.slice(held.byteOffset, held.byteOffset + held.byteLength));
}

/** How plotly's model is to read what is drawn, and each edit. */
export const SERIALIZERS = Object.fromEntries(
  ["_widget_data", "_widget_layout", ...MESSAGES.map((name) => `_py2js_${name}`)].map((name) => [
    name,
    { deserialize: withArrays },
  ]),
);
