// Shows whether the page is live, and keeps sections expanded while its content is replaced.
(() => {
  const say = (isLive) => {
    const note = document.getElementById("live");
    if (!note) return;
    note.dataset.live = isLive ? "on" : "off";
    note.textContent = isLive ? "Live" : "Not live";
    note.title = isLive ? "This page shows changes at once." : "The connection is lost. Trying again; or reload the page.";
  };
  document.addEventListener("htmx:sse:after:connection", () => say(true));
  for (const event of ["htmx:sse:before:connection", "htmx:sse:error", "htmx:sse:close"]) {
    document.addEventListener(event, () => say(false));
  }
  // The session has ended: the page leads to the sign-in.
  document.addEventListener("signed-out", () => location.reload());
  htmx.registerExtension("console", {
    htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.localName === "details"),
  });
})();
