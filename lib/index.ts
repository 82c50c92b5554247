/** The protocol engine: bytes in, messages out, bytes out, over any byte stream. */

export { AgentClient, type AgentKey } from './agent/client.ts'
export { type Algorithms, allAlgorithms, defaultAlgorithms, defaultServerAlgorithms } from './algorithms/index.ts'
export { type Client, type ClientOptions, openClient } from './client.ts'
export type { Channel, ChannelSink } from './connection/channel.ts'
export { type ClientSession, type SessionOptions, startSession } from './connection/client-session.ts'
export type { Connection, ConnectionOptions } from './connection/connection.ts'
export { type RemoteProcess, startProcess } from './connection/process.ts'
export { acceptSessions, type ServerSession, type SessionHandler } from './connection/server-session.ts'
export type { Engine } from './engine.ts'
export * from './errors.ts'
export { allSignatureAlgorithms, defaultSignatureAlgorithms } from './keys/algorithms.ts'
export { fingerprint } from './keys/fingerprint.ts'
export { formatOpensshV1, type OpensshV1Options } from './keys/formats/openssh-v1.ts'
export { formatPrivatePem, formatPublicPemKey, type PemForm, parsePublicPemKey } from './keys/formats/pem.ts'
export { formatPpk, type PpkOptions } from './keys/formats/ppk.ts'
export { parsePrivateKey, publicPartOf } from './keys/formats/private-file.ts'
export { formatRfc4716, parseRfc4716 } from './keys/formats/rfc4716.ts'
export { type GeneratedKind, generateKey, PrivateKey } from './keys/private-key.ts'
export { formatPublicKeyLine, type PublicKey, parsePublicKey, parsePublicKeyLine } from './keys/public-key.ts'
export { keySigner, lazySigner, type Signer } from './keys/signer.ts'
export { parseX509Certificate, type X509Certificate } from './keys/x509/certificate.ts'
export { parseX509Chain, type X509Chain } from './keys/x509/chain.ts'
export { checkX509Chain, type X509Purpose } from './keys/x509/check.ts'
export { x509Signers } from './keys/x509/signers.ts'
export { parseX509File, parseX509Pem } from './keys/x509/text.ts'
export { type Log, silentLog } from './log.ts'
export { openServer, type Server, type ServerLogin, type ServerOptions } from './server.ts'
export type {
  HostKeyProof,
  HostKeyVerifier,
  NegotiatedAlgorithms,
  RekeyLimit,
  Transport,
} from './transport/transport.ts'
export type { Authority, ServerAuthentication, ServerAuthenticationOptions, Verdict } from './userauth/authority.ts'
export type { ClientAuthentication } from './userauth/client.ts'
export type { AuthPrompt, Credentials } from './userauth/credentials.ts'
export type { Permissions } from './userauth/permissions.ts'
