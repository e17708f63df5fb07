// Runs the official GraphQL-over-HTTP audits against a server: node console/audit.mjs URL. Prints one JSON line an audit.
import { serverAudits } from "graphql-http";

for (const audit of serverAudits({ url: process.argv[2], fetchFn: fetch })) {
  const { status, reason } = await audit.fn();
  console.log(JSON.stringify({ id: audit.id, name: audit.name, status, reason }));
}
