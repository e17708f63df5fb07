// The suite asks its router on port 4000 of localhost; whoever connects there is led to ROUTER_PORT.
const { Socket } = require('node:net');

const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (Number(options?.port) === 4000) Object.assign(options, { host: '127.0.0.1', port: process.env.ROUTER_PORT });
  return connect.apply(this, given);
};
