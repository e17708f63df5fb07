// A subgraph of somebody else: credit scores 信用分 by 统一社会信用代码, and who follows a case, by its `id`.
// Argument: {"scores": {uscc: score}, "followers": {id: number}}. Prints one line: {"url"}. Ends with its input.
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';

const { scores, followers } = JSON.parse(process.argv[2]);
const typeDefs = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])

  scalar Uscc
  scalar Cursor

  interface Node {
    id: ID!
  }

  type Party @key(fields: "uscc") {
    uscc: Uscc
    creditScore: Int
  }

  type EnforcementCase implements Node @key(fields: "id") {
    id: ID!
    followers: Int
  }

  type PageInfo @shareable {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: Cursor
    endCursor: Cursor
  }

  type CreditPage {
    nodes: [Party]!
    pageInfo: PageInfo!
  }

  type Query {
    creditOf(usccs: [Uscc]!): CreditPage!
    followed(ids: [ID!]!): [EnforcementCase]!
  }
`);
const pageInfo = { hasNextPage: false, hasPreviousPage: false };
const resolvers = {
  Query: {
    creditOf: (_, { usccs }) => ({ nodes: usccs.map((uscc) => ({ uscc })), pageInfo }),
    followed: (_, { ids }) => ids.map((id) => ({ id })),
  },
  Party: {
    __resolveReference: ({ uscc }) => ({ uscc }),
    creditScore: ({ uscc }) => scores[uscc] ?? null,
  },
  EnforcementCase: {
    __resolveReference: ({ id }) => ({ id }),
    followers: ({ id }) => followers[id] ?? null,
  },
};
const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs, resolvers }) });
const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
console.log(JSON.stringify({ url }));
process.stdin.resume().on('end', () => process.exit());
