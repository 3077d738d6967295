// The audit suite of graphql-http, run for a signed-in user: `node audit.mjs URL TOKEN` prints every verdict as JSON.
import { serverAudits } from "graphql-http";

const [url, token] = process.argv.slice(2);
const fetchFn = (address, init = {}) =>
  fetch(address, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });

const verdicts = [];
for (const { id, name, fn } of serverAudits({ url, fetchFn })) {
  const { status, reason } = await fn();
  verdicts.push({ id, name, status, reason });
}
console.log(JSON.stringify(verdicts));
