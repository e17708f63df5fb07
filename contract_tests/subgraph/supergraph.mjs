// Composes the subgraphs named in its argument, by the SDL each gives over HTTP, and serves them through Apollo Gateway.
// Argument: {"services": [{"name", "url", "sdl"?: file}]}. Prints one line: {"url", "hints"} or {"errors"}. Ends with its input.
// Every answer tells in `extensions.fetches` which subgraph was asked, and for which entities. Subgraphs are asked for traces.
import { readFileSync } from 'node:fs';
import { composeServices } from '@apollo/composition';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { parse } from 'graphql';

async function sdlOf({ url, sdl }) {
  if (sdl) return readFileSync(sdl, 'utf8');
  const body = JSON.stringify({ query: '{ _service { sdl } }' });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return (await response.json()).data._service.sdl;
}

class Watched extends RemoteGraphQLDataSource {
  constructor(url, name) {
    super({ url });
    this.name = name;
  }

  willSendRequest({ request, context }) {
    request.http.headers.set('apollo-federation-include-trace', 'ftv1');
    context.fetches?.push({ service: this.name, representations: request.variables?.representations ?? null });
  }
}

const told = {
  async requestDidStart() {
    return {
      async willSendResponse({ response, contextValue }) {
        const result = response.body.singleResult;
        result.extensions = { ...result.extensions, fetches: contextValue.fetches };
      },
    };
  },
};

const { services } = JSON.parse(process.argv[2]);
const subgraphs = await Promise.all(
  services.map(async (service) => ({ name: service.name, url: service.url, typeDefs: parse(await sdlOf(service)) })),
);
const { supergraphSdl, errors, hints } = composeServices(subgraphs);
if (errors?.length) {
  console.log(JSON.stringify({ errors: errors.map((error) => error.message) }));
  process.exit(1);
}

const names = new Map(services.map(({ name, url }) => [url, name]));
const gateway = new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new Watched(url, names.get(url)) });
const server = new ApolloServer({ gateway, plugins: [told], introspection: true, includeStacktraceInErrorResponses: false });
const { url } = await startStandaloneServer(server, {
  listen: { port: 0, host: '127.0.0.1' },
  context: async () => ({ fetches: [] }),
});
const found = hints.map(({ definition, message }) => `${definition.level.name} ${definition.code}: ${message}`);
console.log(JSON.stringify({ url, hints: found }));
process.stdin.resume().on('end', () => process.exit());
