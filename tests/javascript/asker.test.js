import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { asker } from "../../ravl_explore/widgets/static/crops/asker.js";

let sent;
let told;
let wish;
let asking;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  sent = [];
  told = [];
  asking = asker({ send: (content) => sent.push(content) }, "v", {
    build: () => ({ wish }),
    soon: () => told.push("soon"),
    late: () => told.push("late"),
    answer: (content) => told.push(content.of),
  });
});

const reply = (of) => asking.receive({ request: `v:${of}`, of }, []);

test("what is asked meanwhile is asked once more, with the newest wish, and only its answer counts", () => {
  for (wish of ["a", "b", "c"]) asking.ask();
  assert.deepEqual(sent, [{ wish: "a", request: "v:1" }]);
  reply(1);
  assert.deepEqual(sent.slice(1), [{ wish: "c", request: "v:2" }]);
  assert.ok(asking.waiting());
  reply(2);
  assert.deepEqual([told, asking.waiting()], [[2], false]);
});

test("answers to another view, or to what was dropped, are passed over", () => {
  asking.ask();
  asking.receive({ request: "w:1", of: 1 }, []);
  asking.drop();
  reply(1);
  assert.deepEqual([told, asking.waiting()], [[], false]);
});

test("a late answer is said to be late, and is still taken", () => {
  asking.ask();
  mock.timers.tick(149);
  assert.deepEqual(told, []);
  mock.timers.tick(1);
  assert.deepEqual(told, ["soon"]);
  mock.timers.tick(3850);
  assert.deepEqual([told, asking.waiting()], [["soon", "late"], false]);
  reply(1);
  assert.deepEqual(told, ["soon", "late", 1]);
});

test("a quick answer is neither awaited nor late", () => {
  asking.ask();
  reply(1);
  mock.timers.tick(10_000);
  assert.deepEqual(told, [1]);
});
