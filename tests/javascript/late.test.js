import assert from "node:assert/strict";
import { test } from "node:test";
import { hearThoughLate } from "../../ravl_explore/widgets/static/shared/late.js";

/** A model as anywidget hands it out, of a whole one whose messages wait for `ready`. */
function started(ready) {
  const sent = [];
  const heard = [];
  const known = {};
  class Jupyter {
    async _handle_comm_msg(message) {
      heard.push(message);
    }
  }
  class Any extends Jupyter {
    async _handle_comm_msg(message) {
      await ready;
      return super._handle_comm_msg(message);
    }
  }
  const whole = new Any();
  whole.comm = {
    on_msg(listener) {
      this.listener = listener;
    },
    send: (content) => sent.push(content),
  };
  whole.comm.on_msg(whole._handle_comm_msg.bind(whole));
  const model = {
    on: (name, listener) => {
      known[name] = listener;
    },
    off: (name) => delete known[name],
    set: (name, value) => known[`change:${name}`]?.(whole, value),
  };
  return { model, sent, heard, known, tell: (message) => whole.comm.listener(message).catch(() => {}) };
}

const soon = () => new Promise((resolve) => setTimeout(resolve));

test("a widget that anywidget gave up asks for its state, and hears what follows", async () => {
  const { model, sent, heard, tell, known } = started(Promise.reject(new Error("late")));
  await tell("lost");
  assert.deepEqual(heard, []);
  hearThoughLate({ model });
  await soon();
  assert.deepEqual(sent, [{ method: "request_state" }]);
  await tell("later");
  assert.deepEqual(heard, ["later"]);
  assert.deepEqual(known, {});
});

test("one that started in time is left as it is", async () => {
  const { model, sent, heard, tell } = started(Promise.resolve());
  hearThoughLate({ model });
  await soon();
  await tell("message");
  assert.deepEqual(sent, []);
  assert.equal(heard.at(-1), "message");
});

test("one without a kernel, or of another anywidget, is left as it is", () => {
  const { model } = started(Promise.resolve());
  hearThoughLate({ model: { ...model, set: () => {} } });
});
