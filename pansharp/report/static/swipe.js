// <swipe-view>: two pictures of one place left and right of a divider, zoomed and moved together.
(() => {
  "use strict";
  const make = (tag, properties = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const MOST = 32; // screen pixels of a product pixel

  class SwipeView extends HTMLElement {
    connectedCallback() {
      if (this.stage) return;
      this.stills = this.querySelector(".stills");
      this.places = [...this.querySelectorAll(".place")].map((node) => ({
        title: node.dataset.title,
        why: node.dataset.why,
        rows: Number(node.dataset.rows),
        cols: Number(node.dataset.cols),
        images: [...node.querySelectorAll("img")],
      }));
      if (!this.places.length) return;
      this.chosen = { left: "ms", right: "fused" };
      this.share = 50;
      this.pointers = new Map();
      this.build();
      this.stills.hidden = true;
      this.open(0);
      new ResizeObserver(() => this.resized()).observe(this.stage);
    }

    build() {
      this.tabs = this.places.map((place, index) => make("button", {
        type: "button", role: "tab", id: `place-${index}`, "aria-controls": "place-panel",
        textContent: place.title, onclick: () => this.open(index),
      }));
      const list = make("div", { className: "swipe-tabs", role: "tablist", "aria-label": "Windows" }, ...this.tabs);
      list.addEventListener("keydown", (event) => this.onTabKey(event));
      this.selects = {};
      const bar = make("div", { className: "swipe-bar" });
      for (const side of ["left", "right"]) {
        const select = make("select", { onchange: () => { this.chosen[side] = select.value; this.draw(); } });
        this.selects[side] = select;
        bar.append(make("label", {}, side === "left" ? "Left" : "Right", select));
      }
      this.output = make("output", { "aria-label": "Zoom" });
      const button = (text, label, action) =>
        make("button", { type: "button", textContent: text, "aria-label": label, onclick: action });
      bar.append(make("div", { className: "swipe-zoom", role: "group", "aria-label": "Zoom" },
        button("−", "Zoom out", () => this.zoomBy(1 / 1.5)),
        button("+", "Zoom in", () => this.zoomBy(1.5)),
        button("1:1", "One product pixel to one screen pixel", () => this.zoomTo(1)),
        button("Fit", "Fit the window", () => this.fit()),
        this.output));
      this.worlds = {};
      this.sides = {};
      this.names = {};
      const parts = [];
      for (const side of ["left", "right"]) {
        this.worlds[side] = make("div", { className: "swipe-world" }, make("img", { alt: "", draggable: false }));
        this.sides[side] = make("div", { className: "swipe-side" }, this.worlds[side]);
        this.sides[side].dataset.side = side;
        this.names[side] = make("span", { className: `swipe-name ${side}`, "aria-hidden": "true" });
        parts.push(this.sides[side], this.names[side]);
      }
      this.divider = make("div", {
        className: "swipe-divider", role: "slider", tabIndex: 0, "aria-label": "Divider",
        "aria-valuemin": 0, "aria-valuemax": 100, "aria-describedby": "swipe-help",
      });
      this.stage = make("div", { className: "swipe-stage", role: "group" }, ...parts, this.divider);
      this.panel = make("div", { id: "place-panel", role: "tabpanel" }, this.stage);
      this.why = make("p", { className: "swipe-help" });
      const help = make("p", { className: "swipe-help", id: "swipe-help" });
      const key = (text) => make("kbd", { textContent: text });
      help.append(key("←"), " ", key("→"), " move the divider, with ", key("Shift"), " the picture; ",
        key("+"), " ", key("−"), " zoom, ", key("1"), " native pixels, ", key("0"), " fit. Drag the picture to move it; pinch, or ",
        key("Ctrl"), " and the wheel, to zoom.");
      this.ui = make("div", { className: "swipe-ui" }, list, bar, this.panel, this.why, help);
      this.append(this.ui);
      this.panel.addEventListener("keydown", (event) => this.onKey(event));
      bar.addEventListener("keydown", (event) => { if (event.target.tagName !== "SELECT") this.onKey(event); });
      this.stage.addEventListener("pointerdown", (event) => this.onDown(event));
      this.stage.addEventListener("pointermove", (event) => this.onMove(event));
      for (const name of ["pointerup", "pointercancel"]) {
        this.stage.addEventListener(name, (event) => this.onUp(event));
      }
      this.stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    }

    open(index) {
      this.index = index;
      this.place = this.places[index];
      this.tabs.forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === index));
        tab.tabIndex = i === index ? 0 : -1;
      });
      this.panel.setAttribute("aria-labelledby", `place-${index}`);
      this.why.textContent = `${this.place.title}: ${this.place.why}.`;
      this.stage.style.maxWidth = `calc(80vh * ${this.place.cols / this.place.rows})`;
      this.stage.style.aspectRatio = `${this.place.cols} / ${this.place.rows}`;
      const layers = this.place.images.map((image) => image.dataset.layer);
      for (const side of ["left", "right"]) {
        const wish = this.chosen[side];
        const other = side === "left" ? layers[0] : layers[layers.length - 1];
        this.selects[side].replaceChildren(...this.place.images.map((image) =>
          make("option", { value: image.dataset.layer, textContent: image.dataset.label })));
        this.selects[side].value = layers.includes(wish) ? wish : layers.includes("fused") && side === "right" ? "fused" : other;
      }
      this.fit();
    }

    size() {
      return { width: this.stage.clientWidth, height: this.stage.clientHeight };
    }

    least() {
      const { width, height } = this.size();
      return Math.min(width / this.place.cols, height / this.place.rows) || 1;
    }

    resized() {
      if (this.fitted) this.fit();
      else this.draw();
    }

    fit() {
      const { width, height } = this.size();
      this.zoom = this.least();
      this.x = (width - this.place.cols * this.zoom) / 2;
      this.y = (height - this.place.rows * this.zoom) / 2;
      this.fitted = true;
      this.draw();
    }

    zoomBy(factor, at) { this.zoomTo(this.zoom * factor, at); }

    zoomTo(zoom, at) {
      const { width, height } = this.size();
      const point = at || { x: width / 2, y: height / 2 };
      const next = clamp(zoom, Math.min(1, this.least()), MOST);
      this.x = point.x - (point.x - this.x) * next / this.zoom;
      this.y = point.y - (point.y - this.y) * next / this.zoom;
      this.zoom = next;
      this.fitted = false;
      this.draw();
    }

    moveBy(dx, dy) {
      this.x += dx;
      this.y += dy;
      this.fitted = false;
      this.draw();
    }

    setShare(share) {
      this.share = clamp(share, 0, 100);
      this.draw();
    }

    hold() {
      // The picture fills the stage or lies inside it.
      const { width, height } = this.size();
      const inside = (offset, length, room) => length <= room ? (room - length) / 2 : clamp(offset, room - length, 0);
      this.x = inside(this.x, this.place.cols * this.zoom, width);
      this.y = inside(this.y, this.place.rows * this.zoom, height);
    }

    draw() {
      this.hold();
      const { width } = this.size();
      const x = width * this.share / 100;
      this.stage.classList.toggle("zoomed", this.zoom > this.least() * 1.001);
      for (const side of ["left", "right"]) {
        const image = this.place.images.find((one) => one.dataset.layer === this.selects[side].value);
        const shown = this.worlds[side].firstElementChild;
        const data = image.dataset;
        const px = Number(data.px), py = Number(data.py);
        if (shown.src !== image.src) shown.src = image.src;
        shown.style.left = `${data.x}px`;
        shown.style.top = `${data.y}px`;
        shown.style.width = `${image.naturalWidth * px}px`;
        shown.style.height = `${image.naturalHeight * py}px`;
        // Magnified pixels stay squares; reduced ones are averaged, or they would flicker.
        shown.classList.toggle("smooth", px * this.zoom * devicePixelRatio < 0.999);
        this.worlds[side].style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
        this.names[side].textContent = data.label;
        this.selects[side].title = data.label;
      }
      this.sides.right.style.clipPath = `inset(0 0 0 ${x}px)`;
      this.sides.left.style.clipPath = `inset(0 ${width - x}px 0 0)`;
      this.divider.style.left = `${x}px`;
      this.divider.setAttribute("aria-valuenow", String(Math.round(this.share)));
      const label = (side) => this.names[side].textContent;
      this.divider.setAttribute("aria-valuetext", `${Math.round(this.share)} % ${label("left")}, the rest ${label("right")}`);
      this.stage.setAttribute("aria-label", `${this.place.title}: ${label("left")} beside ${label("right")}`);
      this.output.textContent = `${Math.round(this.zoom * 100)} %`;
    }

    onTabKey(event) {
      const last = this.tabs.length - 1;
      const next = {
        ArrowRight: this.index === last ? 0 : this.index + 1,
        ArrowLeft: this.index === 0 ? last : this.index - 1,
        Home: 0,
        End: last,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      this.open(next);
      this.tabs[next].focus();
    }

    onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const arrow = arrows[event.key];
      if (arrow && event.shiftKey) this.moveBy(-40 * arrow[0], -40 * arrow[1]);
      else if (arrow && event.target === this.divider) this.setShare(this.share + 2 * (arrow[0] - arrow[1]));
      else if (event.target === this.divider && event.key === "PageUp") this.setShare(this.share + 10);
      else if (event.target === this.divider && event.key === "PageDown") this.setShare(this.share - 10);
      else if (event.target === this.divider && event.key === "Home") this.setShare(0);
      else if (event.target === this.divider && event.key === "End") this.setShare(100);
      else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
      else if (event.key === "-" || event.key === "−") this.zoomBy(1 / 1.5);
      else if (event.key === "0") this.fit();
      else if (event.key === "1") this.zoomTo(1);
      else return;
      event.preventDefault();
    }

    point(event) {
      const box = this.stage.getBoundingClientRect();
      return { x: event.clientX - box.left - this.stage.clientLeft, y: event.clientY - box.top - this.stage.clientTop };
    }

    onDown(event) {
      if (event.button !== 0) return;
      const divider = event.target === this.divider && this.pointers.size === 0;
      this.pointers.set(event.pointerId, { ...this.point(event), divider });
      this.stage.setPointerCapture(event.pointerId);
      this.stage.classList.add("dragging");
    }

    onMove(event) {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = this.point(event);
      if (before.divider) {
        this.setShare(100 * now.x / this.size().width);
      } else if (this.pointers.size === 2) {
        const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
        const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
        this.zoomBy(apart(now) / apart(before), middle);
        this.moveBy((now.x - before.x) / 2, (now.y - before.y) / 2);
      } else {
        this.moveBy(now.x - before.x, now.y - before.y);
      }
      this.pointers.set(event.pointerId, { ...now, divider: before.divider });
    }

    onUp(event) {
      this.pointers.delete(event.pointerId);
      if (!this.pointers.size) this.stage.classList.remove("dragging");
    }

    onWheel(event) {
      // The wheel alone scrolls the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 200), this.point(event));
    }
  }
  customElements.define("swipe-view", SwipeView);
})();
