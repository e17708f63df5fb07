// 用生成的类型查询一个案件：node out/program.js http://127.0.0.1:8080/graphql
import { print } from "graphql";
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { DictionaryDocument, FederatedDocument } from "./gql/graphql";

const address = process.argv[2] ?? "http://127.0.0.1:8080/graphql";

async function ask<Result, Variables>(
  document: TypedDocumentNode<Result, Variables>,
  variables: Variables,
): Promise<Result> {
  const response = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const answer = (await response.json()) as { data?: Result | null; errors?: { message: string }[] };
  if (!answer.data || answer.errors) {
    throw new Error(answer.errors?.map((error) => error.message).join("；") ?? `HTTP ${response.status}`);
  }
  return answer.data;
}

async function main(): Promise<void> {
  const { enforcementCase } = await ask(FederatedDocument, {});
  const { dataElements } = await ask(DictionaryDocument, {});
  const decision = enforcementCase?.penaltyDecisions?.[0];
  console.log(
    JSON.stringify({
      case: enforcementCase?.caseName,
      isClosed: enforcementCase?.caseStatus === "CLOSED",
      fine: decision?.fineAmount,
      decided: decision?.decisionDate,
      parties: enforcementCase?.parties?.map((party) => party.partyName),
      sensitive: dataElements.totalCount,
    }),
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
