// What is nicer with a script; every form works without one.
"use strict";

// Fields that only some decisions need are shown with those.
function showNeeded(form) {
  const chosen = form.querySelector("input[name=decision]:checked");
  for (const [name, decisions] of [["until", ["KEEP", "RE_REGISTER"]], ["assignee", ["INVESTIGATE"]]]) {
    const needed = chosen !== null && decisions.includes(chosen.value);
    for (const part of form.querySelectorAll(`#${name}, [for=${name}], #${name}-hint`)) part.hidden = !needed;
    form.elements[name].required = needed;
  }
}

for (const form of document.querySelectorAll("form")) {
  if (!form.elements.until) continue;
  form.addEventListener("change", () => showNeeded(form));
  showNeeded(form);
}
