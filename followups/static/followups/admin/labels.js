// Names for what Django's own widgets and scripts leave nameless: a screen reader would say "edit text, blank".
(() => {
  "use strict";

  const labelOf = (field) => document.querySelector(`label[for="${field.id}"]`);
  const words = (text) => text.trim().replace(/:$/, "");

  const nameAll = () => {
    // A day and a time, two fields of one label: "Paused until: Date".
    for (const field of document.querySelectorAll(".datetime input")) {
      if (field.labels.length) continue;
      const label = field.closest(".form-row")?.querySelector("label, legend");
      const part = field.previousSibling?.nodeType === Node.TEXT_NODE ? field.previousSibling.textContent : "";
      const name = [label?.textContent ?? "", part].map(words).filter(Boolean).join(": ");
      if (name) field.setAttribute("aria-label", name);
    }
    // A searchable choice is named by what is chosen, which may be nothing.
    for (const field of document.querySelectorAll("select.admin-autocomplete")) {
      const box = field.parentElement.querySelector("[role=combobox]");
      const label = labelOf(field);
      if (!box || !label || label.id) continue;
      label.id = `${field.id}-label`;
      box.setAttribute("aria-labelledby", `${label.id} ${box.getAttribute("aria-labelledby") ?? ""}`.trim());
      box.querySelector("[role=textbox]")?.setAttribute("aria-labelledby", label.id);
    }
    for (const sign of document.querySelectorAll("span.help-tooltip[aria-label]")) sign.setAttribute("role", "img");
  };

  // Django's scripts do their work at one of these moments, and theirs comes first.
  window.addEventListener("load", nameAll);
  window.django?.jQuery?.(nameAll);
})();
