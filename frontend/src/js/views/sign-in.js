// What is shown while nobody is signed in. Signing in leads back to the address that was asked for.

import { clone, first, part, text } from "../dom.js";
import * as session from "../session.js";
import { setTitle } from "../title.js";

/** @type {Record<string, string>} */
const REASONS = {
  refused: "The token was not accepted: it is wrong or has run out. Sign in again to go on where you were.",
  left: "You are signed out, in all tabs of this browser.",
};

/** @type {import("../kinds.js").View} */
export function mountSignIn({ root }) {
  setTitle("Sign in");
  root.append(clone("sign-in"));
  text(
    part(root, "reason"),
    REASONS[session.whyEnded() ?? ""] ?? "The training monitor needs a token to ask for your jobs.",
  );
  const input = first(root, "input");
  part(root, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    const problem = flaw(input.value.trim());
    text(part(root, "error"), problem);
    part(root, "error").hidden = !problem;
    input.setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem) input.focus();
    else session.signIn(input.value);
  });
}

/** @param {string} value */
function flaw(value) {
  if (!value) return "Paste the token that the command printed.";
  if (/\s/.test(value)) return "A token has no spaces or line breaks. Paste only the token itself.";
  return "";
}
