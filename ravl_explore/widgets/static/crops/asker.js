// Asks the kernel one thing at a time, and says when an answer is late.

const SOON = 150; // ms; a quicker answer replaces the old page without a flash
const LATE = 4000; // ms

/**
 * What is asked while an answer is awaited is asked once more afterwards, with the newest wish, so that a held arrow key
 * never queues up work in a busy kernel. `build` makes the question, `answer` takes what came; `soon` and `late` are
 * called when nothing has come for a while. Answers go to all views of a model; each takes its own, by `view`.
 */
export function asker(model, view, { build, soon, late, answer }) {
  let serial = 0;
  let open = false;
  let again = false;
  let timers = [];

  function settle() {
    timers.forEach(clearTimeout);
    open = false;
  }

  function giveUp() {
    open = false;
    late();
  }

  function ask() {
    again = open;
    if (open) return;
    open = true;
    serial += 1;
    timers = [setTimeout(soon, SOON), setTimeout(giveUp, LATE)];
    model.send({ ...build(), request: `${view}:${serial}` });
  }

  function receive(content, buffers) {
    if (content.request !== `${view}:${serial}`) return;
    settle();
    if (again) ask();
    else answer(content, buffers);
  }

  function drop() {
    settle();
    again = false;
    serial += 1;
  }

  return { ask, receive, drop, waiting: () => open };
}
