// The template editor: variables at the cursor, mails in their frames. Its pages work without it.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);

  // A long change goes on by itself.
  const goesOn = byId("goes-on");
  if (goesOn) goesOn.submit();

  const form = byId("followuptemplate_form");
  if (!form) return;
  const preview = byId("preview");
  const TEXTS = ["subject", "tamil_subject", "content", "tamil_content"];
  const isText = (field) => field && TEXTS.includes(field.name);
  const refresh = () => preview && htmx.trigger(preview, "refresh");

  // The preview follows by itself: its button is for those without scripts, and Enter should save.
  const button = byId("preview-button");
  if (button) {
    button.type = "button";
    button.hidden = true;
  }
  const person = byId("preview-person");
  if (person) {
    person.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
    });
  }

  let last = null;
  form.addEventListener("focusin", (event) => {
    if (isText(event.target)) last = event.target;
  });
  const insert = (text) => {
    const field = last || form.elements.content;
    field.focus();
    // Kept in the field's own history, so that it can be undone.
    if (!document.execCommand || !document.execCommand("insertText", false, text)) {
      field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  form.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-insert]");
    if (choice) insert(choice.dataset.insert);
    const named = event.target.closest("[data-person]");
    if (named && person) {
      person.value = named.dataset.person;
      person.focus();
      refresh();
    }
  });

  // Rows of ids are shown for the channel that needs them.
  const IDS = { whatsapp: ".registered .field-whatsapp_content_sid", sms: ".registered .field-dlt_template_id" };
  const channel = form.elements.channel;
  const showIds = () => {
    let needed = false;
    for (const [name, rows] of Object.entries(IDS)) {
      const isNeeded = channel.value === name;
      needed = needed || isNeeded;
      for (const row of form.querySelectorAll(`${rows}.form-row`)) {
        const isFilled = [...row.querySelectorAll("input")].some((field) => field.value);
        row.hidden = !isNeeded && !isFilled;
        needed = needed || isFilled;
      }
    }
    const all = form.querySelector("fieldset.registered");
    if (all) all.hidden = !needed;
  };
  if (channel && channel.options) {
    channel.addEventListener("change", showIds);
    showIds();
  }

  // Each mail goes into its frame; a form a frame, for a form's second sending takes back its first.
  const showMails = () => {
    for (const source of preview.querySelectorAll(".mail-source")) {
      const shown = source.querySelector("button");
      shown.hidden = true;
      shown.form.submit();
    }
  };
  const failed = byId("preview-failed");
  const tell = (isBad) => {
    if (failed) failed.hidden = !isBad;
  };
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    // Signed out meanwhile: a sign-in form has no place here.
    if (new URL(event.detail.xhr.responseURL, location).pathname.includes("/login/")) {
      event.detail.shouldSwap = false;
      tell(true);
    }
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== preview) return;
    tell(false);
    showMails();
  });
  for (const fault of ["htmx:responseError", "htmx:sendError"]) {
    document.body.addEventListener(fault, (event) => {
      if (event.detail.target === preview) tell(true);
      else if (event.detail.target) event.detail.target.textContent = event.detail.xhr.statusText || "–";
    });
  }
})();
