// Makes htmx's swaps kind to keyboards and screen readers. The pages work without it.
(() => {
  "use strict";
  const body = document.body;
  const say = (text) => {
    const live = document.getElementById("live");
    if (live) live.textContent = text;
  };
  // What was asked for gets the focus, else the card that changed.
  body.addEventListener("htmx:afterSettle", (event) => {
    const part = event.detail.elt;
    if (!(part instanceof Element) || !part.matches(".item")) return;
    const find = (what) => part.querySelector(what);
    const wanted = find("[data-focus]") || find(".acting input:not([type=hidden])") || find("h3 a");
    if (wanted) wanted.focus();
  });
  // Whoever pressed the button wants to see the answer, which may lie below the window.
  body.addEventListener("htmx:afterSwap", (event) => {
    const cause = event.detail.requestConfig && event.detail.requestConfig.triggeringEvent;
    const quote = document.getElementById("quote");
    if (quote && cause && cause.type === "submit") quote.scrollIntoView({ block: "start" });
  });
  for (const fault of ["htmx:responseError", "htmx:sendError"]) {
    body.addEventListener(fault, () => {
      const live = document.getElementById("live");
      if (!live) return;
      live.classList.remove("visually-hidden");
      live.classList.add("notice", "notice-error");
      say(live.dataset.failed);
    });
  }
})();
