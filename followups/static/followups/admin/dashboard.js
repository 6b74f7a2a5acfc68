// Draws each chart from the table below it, and keeps the live part fresh. The page works without it.
(() => {
  "use strict";

  // One mark and one dash a series, so that no chart is told by colour alone.
  const MARKS = {
    sent: { point: "circle", dash: [] },
    delivered: { point: "rect", dash: [6, 3] },
    read: { point: "triangle", dash: [2, 3] },
    failed: { point: "crossRot", dash: [10, 3, 2, 3] },
    charged: { point: "circle", dash: [] },
    refunded: { point: "crossRot", dash: [6, 3] },
    revenue: { point: "circle", dash: [] },
  };
  const FEW_DAYS = 10; // lines through so few points say less than bars
  const drawn = [];

  const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  const read = (figure) => {
    const table = figure.querySelector("table");
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const rows = [...table.tBodies[0].rows];
    return {
      labels: rows.map((row) => row.cells[0].textContent),
      series: heads
        .map((head, place) => ({
          name: head.dataset.series,
          title: head.textContent,
          values: rows.map((row) => Number(row.cells[place + 1].dataset.value)),
          shown: rows.map((row) => row.cells[place + 1].textContent),
        }))
        .filter((each) => each.name),
    };
  };

  const dataset = (series, isLine) => {
    const tint = colour(`--chart-${series.name}`);
    const mark = MARKS[series.name];
    return {
      label: series.title,
      data: series.values,
      shown: series.shown,
      backgroundColor: tint,
      borderColor: tint,
      borderWidth: isLine ? 2 : 0,
      maxBarThickness: 72,
      borderDash: isLine ? mark.dash : [],
      pointStyle: mark.point,
      pointRadius: isLine && series.values.length <= 62 ? 3 : 0,
      pointHoverRadius: 5,
      pointHitRadius: 12,
    };
  };

  const draw = (figure) => {
    const { labels, series } = read(figure);
    const isLine = figure.dataset.kind === "days" && labels.length > FEW_DAYS;
    const ink = colour("--body-quiet-color");
    const line = colour("--hairline-color");
    const whole = series.every((each) => each.values.every(Number.isInteger));
    return new Chart(figure.querySelector("canvas"), {
      type: isLine ? "line" : "bar",
      data: { labels, datasets: series.map((each) => dataset(each, isLine)) },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: { ticks: { color: ink, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
          y: {
            beginAtZero: true,
            ticks: { color: ink, maxTicksLimit: 6, precision: whole ? 0 : undefined },
            grid: { color: line },
            border: { display: false },
          },
        },
        plugins: {
          legend: {
            display: series.length > 1,
            position: "bottom",
            labels: { color: ink, usePointStyle: isLine, boxHeight: 8, boxWidth: isLine ? 24 : 12 },
          },
          tooltip: {
            callbacks: {
              label: (item) => ` ${item.dataset.label}: ${item.dataset.shown[item.dataIndex]}`,
            },
          },
        },
      },
    });
  };

  const drawAll = () => {
    drawn.splice(0).forEach((chart) => chart.destroy());
    Chart.defaults.font.family = colour("--font-family-primary");
    for (const figure of document.querySelectorAll(".chart")) {
      if (figure.querySelector("canvas")) drawn.push(draw(figure));
    }
  };

  const start = () => {
    for (const figure of document.querySelectorAll(".chart")) {
      if (!figure.querySelector("canvas")) continue;
      figure.classList.add("drawn");
      figure.querySelector("details").open = false;
    }
    drawAll();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    document.fonts.ready.then(drawAll); // letters that came late
    keepFresh();
  };

  const keepFresh = () => {
    const live = document.getElementById("live");
    // Not under the hands of whoever is typing a reason.
    const isBusy = () => live.contains(document.activeElement) || live.querySelector("details[open]");
    const refresh = () => {
      if (!document.hidden && !isBusy()) htmx.trigger(live, "refresh");
    };
    setInterval(refresh, Number(live.dataset.seconds) * 1000);
    document.addEventListener("visibilitychange", refresh);
    live.addEventListener("htmx:beforeSwap", (event) => {
      const isOurs = event.detail.xhr.responseURL.includes("part=live");
      if (!isOurs) location.reload(); // the sign-in has ended meanwhile
      event.detail.shouldSwap = event.detail.shouldSwap && isOurs;
    });
  };

  start();
})();
