"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const config = {
    displaylogo: false,
    responsive: true,
    // These and no others: none that would send data anywhere.
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  // Colours are named as CSS variables, so that charts follow the page from light to dark.
  const style = getComputedStyle(document.documentElement);
  const painted = (value) => {
    if (typeof value === "string") {
      const found = /^var\((--[a-z0-9]+)\)$/.exec(value);
      return found ? style.getPropertyValue(found[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map(painted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, painted(inner)]));
  };

  const draw = () => {
    for (const [name, plot] of Object.entries(plots)) {
      const place = document.getElementById(`plot-${name}`);
      place.hidden = false;
      const layout = painted(plot.layout);
      layout.font.family = style.getPropertyValue("font-family");
      if (still.matches) layout.transition = { duration: 0 };
      if (place.clientWidth < 480) {
        // A narrow legend has a row for each series, or nearly so.
        const rows = plot.data.length > 2 ? plot.data.length : 1;
        layout.margin = { ...layout.margin, l: 48, r: 8, b: 70 + 19 * rows };
        layout.height += 19 * rows;
      }
      Plotly.react(place, painted(plot.data), layout, config).then(
        () => place.closest("figure").classList.add("live"),
        (reason) => {
          place.hidden = true;
          console.error(`${name}: ${reason}`);
        },
      );
    }
  };
  draw();
  dark.addEventListener("change", draw);
})();
