// Shows the picture, the heat map over the part that was classified, and a box to crop with.
// Boxes are [left, top, right, bottom] in pixels of the picture after EXIF rotation, as browsers show it.

const SMALLEST = 8; // shortest side in pixels: the minimum of the service
const STEP = 0.02; // share of the picture per press of an arrow key

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const figure = parentElement.querySelector("figure");
  const stage = figure.querySelector(".stage");
  const image = stage.querySelector("img") ?? stage.appendChild(document.createElement("img"));
  const clear = () => figure.querySelectorAll(".frame, .box, figcaption").forEach((element) => element.remove());
  clear();
  figure.classList.toggle("cropping", data.cropping);
  image.alt = data.alt;
  image.draggable = false;
  image.onerror = () => {
    if (data.instead && image.src !== data.instead) image.src = data.instead;
  };
  image.onload = draw;
  if (image.dataset.of !== data.picture) {
    image.dataset.of = data.picture;
    image.src = data.picture;
  } else if (image.complete) {
    draw();
  }

  function add(kind, name, parent) {
    const element = document.createElement(kind);
    if (name) element.className = name;
    return parent.appendChild(element);
  }

  function place(element, [left, top, right, bottom]) {
    const { naturalWidth: width, naturalHeight: height } = image;
    element.style.left = `${(100 * left) / width}%`;
    element.style.top = `${(100 * top) / height}%`;
    element.style.width = `${(100 * (right - left)) / width}%`;
    element.style.height = `${(100 * (bottom - top)) / height}%`;
  }

  function draw() {
    clear();
    const { naturalWidth: width, naturalHeight: height } = image;
    image.classList.toggle("small", Math.max(width, height) < 160);
    const whole = [0, 0, width, height];
    const cropping = data.cropping && image.src !== data.instead; // which has other dimensions than the picture
    const layer = add("div", "frame", stage);
    const box = data.box ?? (cropping ? [0.2, 0.2, 0.8, 0.8].map((share, i) => Math.round(share * whole[2 + (i % 2)])) : null);
    if (data.box) place(add("div", "shade", layer), data.box);
    if (data.heatmap) place(heatmap(layer), data.box ?? whole);
    if (cropping) handle(box, layer);
    if (cropping) add("figcaption", "", figure).textContent = data.hint;
  }

  function heatmap(parent) {
    const canvas = add("canvas", "", parent);
    canvas.height = data.heatmap.length;
    canvas.width = data.heatmap[0].length;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    data.heatmap.flat().forEach((value, i) => {
      // From dark blue through magenta to yellow: no sign has these colours, and lightness varies for colour-blind people.
      const from = value < 0.5 ? [20, 10, 120] : [205, 70, 120];
      const to = value < 0.5 ? [205, 70, 120] : [245, 245, 40];
      const share = value < 0.5 ? 2 * value : 2 * value - 1;
      pixels.data.set([...from.map((low, c) => Math.round(low + share * (to[c] - low))), Math.round(70 + 120 * value)], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  function handle(box, layer) {
    const { naturalWidth: width, naturalHeight: height } = image;
    let shade = layer.querySelector(".shade"); // there is none before a box is drawn
    const element = add("div", "box", stage);
    const corner = add("div", "corner", element);
    element.tabIndex = 0;
    element.classList.toggle("unset", !data.box); // keyboard users start with this box
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", data.hint);

    const begun = box;
    const show = (changed) => {
      const side = (low, high, limit) => {
        low = Math.round(Math.max(0, Math.min(low, limit - SMALLEST)));
        return [low, Math.round(Math.max(low + SMALLEST, Math.min(high, limit)))];
      };
      const [left, right] = side(changed[0], changed[2], width);
      const [top, bottom] = side(changed[1], changed[3], height);
      box = [left, top, right, bottom];
      if (String(box) !== String(begun)) element.classList.remove("unset");
      place(element, box);
      if (shade) place(shade, box);
    };
    const tell = () => setStateValue("box", box);
    const moved = (from, dx, dy) => {
      dx = Math.max(-from[0], Math.min(dx, width - from[2]));
      dy = Math.max(-from[1], Math.min(dy, height - from[3]));
      return [from[0] + dx, from[1] + dy, from[2] + dx, from[3] + dy];
    };
    const at = (event) => {
      const area = image.getBoundingClientRect();
      return [((event.clientX - area.left) * width) / area.width, ((event.clientY - area.top) * height) / area.height];
    };
    const drag = (target, change) => {
      target.onpointerdown = (event) => {
        event.preventDefault();
        event.stopPropagation();
        const start = at(event);
        const from = box;
        shade ??= add("div", "shade", layer);
        target.setPointerCapture(event.pointerId);
        target.onpointermove = (next) => show(change(from, start, at(next)));
        target.onpointerup = target.onpointercancel = () => {
          target.onpointermove = target.onpointerup = target.onpointercancel = null;
          if (String(from) !== String(box)) tell();
        };
      };
    };
    drag(element, (from, start, now) => moved(from, now[0] - start[0], now[1] - start[1]));
    drag(corner, (from, start, now) => [from[0], from[1], now[0], now[1]]);
    drag(image, (from, start, now) => [
      Math.min(start[0], now[0]), Math.min(start[1], now[1]), Math.max(start[0], now[0]), Math.max(start[1], now[1]),
    ]);
    element.onkeydown = (event) => {
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (!dx && !dy) return;
      event.preventDefault();
      const [x, y] = [dx * STEP * width, dy * STEP * height];
      show(event.shiftKey ? [box[0], box[1], box[2] + x, box[3] + y] : moved(box, x, y));
    };
    element.onkeyup = (event) => event.key.startsWith("Arrow") && tell();
    show(box);
  }

  return () => {
    image.onpointerdown = null;
  };
}
