// The compatibility suite as it is published, except that its router may listen on another port than 4000 (ROUTER_PORT).
const { dirname } = require('node:path');

const suite = dirname(require.resolve('@apollo/federation-subgraph-compatibility-tests/package.json'));
module.exports = {
  ...require(`${suite}/federation-jest.config.js`),
  rootDir: suite,
  testMatch: ['<rootDir>/dist/tests/*.test.js'],
  setupFiles: [`${__dirname}/router-port.cjs`],
  cacheDirectory: `${__dirname}/cache`,
};
