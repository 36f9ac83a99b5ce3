// SizeProbe: an empty line that watches its container's width and lets plotly ("responsive") fit the figure to it.
export default { render({ el }) {
  el.style.cssText = "width: 100%; height: 0; overflow: hidden; margin: 0";
  const frame = () => el.closest(".ravl-figure-frame");
  let width = 0, timer = 0;
  const fit = () => { clearTimeout(timer); timer = setTimeout(() => window.dispatchEvent(new Event("resize")), 40); };
  const observer = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now > 0 && now !== width) fit();
    width = now;
  });
  const drawn = (event) => { if (frame()?.contains(event.detail?.element)) fit(); };
  observer.observe(el);
  document.addEventListener("plotlywidget-after-render", drawn);
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    document.removeEventListener("plotlywidget-after-render", drawn);
  };
} };
