// One view of a figure: plotly's own, which tells a gesture as one message, and is fitted to its container.

/** What plotly says of a selection: with which tool, and the corners of its outline; null if one was taken away. */
export function gestureOf(event) {
  const { range, lassoPoints, points = [] } = event ?? {};
  if (lassoPoints) return { tool: "lasso", outline: { xs: lassoPoints.x, ys: lassoPoints.y }, points };
  if (range) return { tool: "box", outline: { xs: range.x, ys: range.y }, points };
  return points.length ? { tool: "click", outline: null, points } : null;
}

/**
 * Plotly's view without what it sends about every hover and every redraw; a gesture is one message, with the points' own
 * ids, as the kernel may have drawn something else by the time it hears of it.
 */
export function viewOf(plotly, send, hand) {
  return class extends plotly.FigureView {
    handle_plotly_hover() {}
    handle_plotly_unhover() {}
    handle_plotly_click() {}
    _sendTraceDeltas() {}
    _sendLayoutDelta() {}

    handle_plotly_selected(event) {
      const gesture = gestureOf(event);
      if (gesture) this.tell("selected", gesture);
    }

    handle_plotly_deselect() {
      this.tell("deselected", { tool: "click", outline: null, points: [] });
    }

    tell(event, { tool, outline, points }) {
      if (!hand.hasDone()) return;
      const { data, layout } = this.el;
      const shown = points.filter(({ curveNumber }) => data[curveNumber].hoverinfo !== "skip");
      const ids = Int32Array.from(shown, ({ curveNumber, pointNumber }) => data[curveNumber].customdata[pointNumber]);
      send({ kind: "points", event, tool, outline, picture: layout.meta ?? null }, [ids.buffer]);
    }
  };
}

const FIT_AFTER = 40; // ms

/** Fit the plot whenever its container gets another width; returns how to stop. */
export function watchWidth(el) {
  let width = 0;
  let timer = 0;

  function fit() {
    clearTimeout(timer);
    timer = setTimeout(() => window.dispatchEvent(new Event("resize")), FIT_AFTER); // plotly is told to be "responsive"
  }

  function drawn(event) {
    if (event.detail?.element === el) fit();
  }

  const observer = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now > 0 && now !== width) fit();
    width = now;
  });
  observer.observe(el);
  document.addEventListener("plotlywidget-after-render", drawn);
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    document.removeEventListener("plotlywidget-after-render", drawn);
  };
}
