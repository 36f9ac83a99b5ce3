// Images as the kernel sends them: bytes, which the browser keeps until they are let go of.

/** Holds the URLs of what is on show; `clear` lets go of them. */
export function pictures() {
  const urls = [];
  return {
    url(buffer, type) {
      const url = URL.createObjectURL(new Blob([buffer], { type }));
      urls.push(url);
      return url;
    },
    clear() {
      for (const url of urls.splice(0)) URL.revokeObjectURL(url);
    },
  };
}

/** A few pixels drawn large stay sharp squares; anything else is smoothed. */
export function sharpen(image) {
  const drawn = image.clientWidth * (window.devicePixelRatio || 1);
  image.classList.toggle("rx-pixelated", image.naturalWidth * 1.5 < drawn);
}

/** Whether the keyboard is in an element, also where that is in a shadow tree. */
export function hasFocus(node) {
  return node.contains(node.getRootNode().activeElement);
}
