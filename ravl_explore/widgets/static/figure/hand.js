// The hand on one plot. While it draws, what the kernel draws waits: a redraw in between breaks plotly's lasso, which
// ends as nothing or as another outline. And only what a hand did is a gesture: plotly says "selected" and "deselected"
// as well when outlines or points are set from the kernel.

const GESTURE_WITHIN = 400; // ms from the release until plotly has told of it: it waits for its last hit test, 100 ms
const OUTLINE_WITHIN = 50; // ms; then plotly stores the outline

/** `wait(work)` does the work once the hand rests; `hasDone()` says once per press whether a hand made the gesture. */
export function watchHand(el) {
  let waiting = [];
  let untold = 0; // presses that may still turn out to be a gesture
  let down = false;
  let timer = 0;

  function settle() {
    timer = 0;
    untold = 0;
    for (const work of waiting.splice(0)) work();
  }

  function settleAfter(ms) {
    clearTimeout(timer);
    timer = setTimeout(settle, ms);
  }

  function press(event) {
    if (!event.target.closest?.(".draglayer")) return;
    down = true;
    untold += 1;
    clearTimeout(timer);
  }

  function release() {
    if (!down) return;
    down = false;
    settleAfter(GESTURE_WITHIN);
  }

  function move(event) {
    if (event.buttons === 0) release(); // let go outside the window
  }

  const stop = new AbortController();
  const options = { capture: true, passive: true, signal: stop.signal };
  for (const name of ["mousedown", "touchstart"]) el.addEventListener(name, press, options);
  for (const name of ["mouseup", "touchend", "touchcancel"]) window.addEventListener(name, release, options);
  window.addEventListener("mousemove", move, options);
  return {
    wait(work) {
      if (down || timer) waiting.push(work);
      else work();
    },
    hasDone() {
      if (!untold) return false;
      untold -= 1;
      if (!down) settleAfter(OUTLINE_WITHIN);
      return true;
    },
    stop() {
      stop.abort();
      clearTimeout(timer);
      waiting = [];
    },
  };
}
