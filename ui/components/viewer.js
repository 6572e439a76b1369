// Shows the picture, the objects that were found in it, the heat map over the part that was classified, and a box to
// crop with.
// Boxes are [left, top, right, bottom] in pixels of the picture after EXIF rotation, as browsers show it.

const SMALLEST = 8; // shortest side in pixels: the minimum of the service
const STEP = 0.02; // share of the picture per press of an arrow key
const NEAR = 16; // how far from an object a click still chooses it, in pixels of the screen: fingers are not exact
const ZOOMED = 96; // objects whose longer side is shorter than this on the screen are also shown enlarged, in pixels

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const figure = parentElement.querySelector("figure");
  const stage = figure.querySelector(".stage");
  const image = stage.querySelector("img") ?? stage.appendChild(document.createElement("img"));
  let size; // width and height of the picture in pixels, which a preview may have less of
  const clear = () => {
    figure.querySelectorAll(".frame, .box, .objects, .zoom, figcaption").forEach((element) => element.remove());
    stage.onclick = null;
  };
  const hasFocus = !!stage.querySelector(".object:focus"); // which is given back when the objects are drawn again
  clear();
  figure.classList.toggle("cropping", data.cropping);
  image.alt = data.alt;
  image.draggable = false;
  image.onerror = () => {
    if (data.instead && image.getAttribute("src") !== data.instead) image.src = data.instead;
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

  function place(element, [left, top, right, bottom], [width, height] = size) {
    element.style.left = `${(100 * left) / width}%`;
    element.style.top = `${(100 * top) / height}%`;
    element.style.width = `${(100 * (right - left)) / width}%`;
    element.style.height = `${(100 * (bottom - top)) / height}%`;
  }

  function draw() {
    clear();
    const { naturalWidth: width, naturalHeight: height } = image;
    image.classList.toggle("small", Math.max(width, height) < 160);
    const isThumbnail = image.src === data.thumbnail; // which shows a part of the picture
    const cropping = data.cropping && !isThumbnail;
    const scene = isThumbnail ? null : data.scene;
    size = (!isThumbnail && data.size) || [width, height];
    const whole = [0, 0, ...size];
    const layer = add("div", "frame", stage);
    const box = data.box ?? (cropping ? [0.2, 0.2, 0.8, 0.8].map((share, i) => Math.round(share * whole[2 + (i % 2)])) : null);
    if (data.box) place(add("div", "shade", layer), data.box);
    if (data.heatmap) place(heatmap(layer), (!isThumbnail && data.seen) || whole);
    if (scene?.objects.length) objects(scene, cropping);
    if (cropping) handle(box, layer);
    if (cropping) add("figcaption", "", figure).textContent = data.hint;
  }

  // Each object is a button; while a person draws a box, they are only lines.
  function objects({ objects, chosen, name }, cropping) {
    const list = add("div", "objects", stage);
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", name);
    const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
    const choose = (index) => setTriggerValue("object", index);
    const buttons = objects.map(({ box, name, verdict }, index) => {
      const button = add("button", `object ${verdict}`, list);
      button.type = "button";
      button.disabled = cropping;
      button.title = name;
      button.setAttribute("aria-label", name);
      button.setAttribute("aria-pressed", String(index === chosen));
      button.tabIndex = index === (chosen ?? 0) ? 0 : -1;
      // A small object may lie in the box of a large one.
      button.style.zIndex = index === chosen ? objects.length : objects.filter((other) => area(other.box) > area(box)).length;
      place(button, box);
      const number = add("span", "number", button);
      number.textContent = index + 1;
      number.classList.toggle("before", box[2] > 0.9 * size[0]);
      button.onkeydown = (event) => {
        const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = (index + step + objects.length) % objects.length;
        buttons[next].focus();
        choose(next);
      };
      return button;
    });
    stage.onclick = (event) => {
      const own = buttons.indexOf(event.target.closest(".object"));
      const index = own < 0 ? nearest(buttons, event) : own;
      if (!cropping && index >= 0) choose(index);
    };
    new ResizeObserver(() => spread(buttons.map((button) => button.firstChild))).observe(list);
    if (hasFocus) buttons[chosen ?? 0].focus();
    if (chosen !== null) zoom(objects[chosen], buttons[chosen]);
  }

  function nearest(buttons, { clientX: x, clientY: y }) {
    const distances = buttons.map((button) => {
      const { left, top, right, bottom } = button.getBoundingClientRect();
      return Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom));
    });
    const least = Math.min(...distances);
    return least <= NEAR ? distances.indexOf(least) : -1;
  }

  // Moves the numbers of objects that are close together, so that all of them can be read.
  function spread(numbers) {
    numbers.forEach((number) => (number.style.translate = ""));
    const placed = [];
    const areas = numbers.map((number) => [number, number.getBoundingClientRect()]).sort(([, a], [, b]) => a.top - b.top);
    for (const [number, { left, top, right, height }] of areas) {
      let down = 0;
      const meets = (other) =>
        left < other.right && other.left < right && top + down < other.bottom && other.top < top + down + height;
      for (let other = placed.find(meets); other; other = placed.find(meets)) down = other.bottom + 1 - top;
      number.style.translate = `0 ${down}px`;
      placed.push({ left, top: top + down, right, bottom: top + down + height });
    }
  }

  // A part of the picture around the object, enlarged; screen readers have its name from the button.
  function zoom({ box: [left, top, right, bottom], verdict }, button) {
    const [width, height] = size;
    const { width: wide, height: high } = button.getBoundingClientRect();
    if (Math.max(wide, high) >= ZOOMED) return;
    const side = Math.min(1.3 * Math.max(right - left, bottom - top), width, height);
    const start = (low, high, whole) => Math.max(0, Math.min((low + high - side) / 2, whole - side));
    const [x, y] = [start(left, right, width), start(top, bottom, height)];
    const part = add("div", `zoom ${verdict}`, figure);
    part.setAttribute("aria-hidden", "true");
    part.style.backgroundImage = `url("${image.src}")`;
    part.style.backgroundSize = `${(100 * width) / side}% ${(100 * height) / side}%`;
    part.style.backgroundPosition = `${(100 * x) / (width - side || 1)}% ${(100 * y) / (height - side || 1)}%`;
    if (data.heatmap) place(heatmap(part), data.seen.map((edge, i) => edge - (i % 2 ? y : x)), [side, side]);
  }

  function heatmap(parent) {
    const canvas = add("canvas", "", parent);
    canvas.height = data.heatmap.length;
    canvas.width = data.heatmap[0].length;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    data.heatmap.flat().forEach((value, i) => {
      // From dark blue through magenta to yellow: rare in photos, and lightness varies for colour-blind people.
      const from = value < 0.5 ? [20, 10, 120] : [205, 70, 120];
      const to = value < 0.5 ? [205, 70, 120] : [245, 245, 40];
      const share = value < 0.5 ? 2 * value : 2 * value - 1;
      pixels.data.set([...from.map((low, c) => Math.round(low + share * (to[c] - low))), Math.round(70 + 120 * value)], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  function handle(box, layer) {
    const [width, height] = size;
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
    image.onpointerdown = stage.onclick = null;
  };
}
