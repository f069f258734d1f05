// A plot of some lines over the last minute, drawn as SVG; colours come from the style sheet.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
// lines differ by their dashes, too, for those who do not tell the colours apart
const DASHES = ["", "7 4", "2 3", "10 3 2 3", "5 2", "1 4"];

function line(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function strokeOf(index) {
  return `stroke: var(--line-${index % 6}); stroke-dasharray: ${DASHES[index % 6] || "none"}`;
}

// The least of 4, 8, 20, 40, 80, 200 ... that is not below a value: a quarter of it is a whole number.
function niceCeiling(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [2, 4, 8, 20].map((factor) => factor * unit).find((candidate) => candidate >= Math.max(value, 4));
}

class Plot {
  constructor(svg, unit) {
    this.svg = svg;
    this.unit = unit;
    this.label = svg.getAttribute("aria-label");
    this.width = 520;
    this.height = 210;
    this.left = 52;
    this.bottom = 24;
    svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    svg.after(this.legend);
  }

  // series: [{name, points: [[time, value], ...]}, ...]; first: when the page's history begins; now: the time at the
  // right edge. A history that has just begun is shown wider.
  draw(series, first, now) {
    const seconds = [15, 30, 60].find((some) => some >= now - first) ?? 60;
    const begin = now - seconds;
    const seen = series.map(({points}) => points.filter(([time]) => time >= begin - 1));
    const top = niceCeiling(Math.max(0, ...seen.flat().map(([, value]) => value)));
    const right = this.width - 6, floor = this.height - this.bottom;
    const x = (time) => Math.max(this.left, this.left + (right - this.left) * (time - begin) / seconds);
    const y = (value) => floor - (floor - 10) * value / top;
    const drawn = [];
    for (const share of [0, .25, .5, .75, 1]) {
      drawn.push(line("line", {class: "rule", x1: this.left, x2: right, y1: y(share * top), y2: y(share * top)}));
      drawn.push(this.text((share * top).toLocaleString("en"), this.left - 8, y(share * top) + 4, "end"));
    }
    for (let ago = seconds; ago >= 0; ago -= seconds / 3) {
      drawn.push(this.text(ago ? `−${ago} s` : "now", x(now - ago), this.height - 5, ago ? "middle" : "end"));
    }
    seen.forEach((points, index) => drawn.push(line("polyline", {
      class: "line", style: strokeOf(index),
      points: points.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
    })));
    this.svg.replaceChildren(...drawn);
    this.describe(series);
  }

  text(words, x, y, anchor) {
    const element = line("text", {x, y, "text-anchor": anchor});
    element.textContent = words;
    return element;
  }

  // The legend, and what a screen reader says of the picture.
  describe(series) {
    if (this.legend.children.length !== series.length) {
      this.legend.replaceChildren(...series.map(({name}, index) => {
        const item = document.createElement("li"), sample = line("svg", {viewBox: "0 0 26 10", "aria-hidden": "true"});
        sample.append(line("line", {x1: 0, x2: 26, y1: 5, y2: 5, class: "line", style: strokeOf(index)}));
        item.append(sample, name);
        return item;
      }));
    }
    const values = series.map(({name, points}) => `${name}: ${Math.round(points.length ? points.at(-1)[1] : 0)}`);
    this.svg.setAttribute("aria-label", `${this.label}. Now, in ${this.unit}: ${values.join(", ")}.`);
  }
}
