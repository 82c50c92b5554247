/** The library: logging in to hosts as tssh does, and serving logins. */

export type { SessionOptions } from '../lib/connection/client-session.ts'
export type { RemoteProcess } from '../lib/connection/process.ts'
export type { ServerSession, SessionHandler } from '../lib/connection/server-session.ts'
export {
  AgentError,
  AuthenticationError,
  ChannelOpenError,
  ConnectionLostError,
  DisconnectError,
  HostKeyError,
  KeyError,
  NegotiationError,
  ProtocolError,
  RequestError,
  SshError,
} from '../lib/errors.ts'
export { fingerprint } from '../lib/keys/fingerprint.ts'
export { formatOpensshV1 } from '../lib/keys/formats/openssh-v1.ts'
export { parsePrivateKey } from '../lib/keys/formats/private-file.ts'
export { generateKey, type PrivateKey } from '../lib/keys/private-key.ts'
export { formatPublicKeyLine, type PublicKey, parsePublicKey, parsePublicKeyLine } from '../lib/keys/public-key.ts'
export { keySigner, type Signer } from '../lib/keys/signer.ts'
export type { X509Certificate } from '../lib/keys/x509/certificate.ts'
export type { X509Chain } from '../lib/keys/x509/chain.ts'
export { checkX509Chain, type X509Purpose } from '../lib/keys/x509/check.ts'
export { x509Signers } from '../lib/keys/x509/signers.ts'
export { parseX509Pem } from '../lib/keys/x509/text.ts'
export type { Log } from '../lib/log.ts'
export type { ServerLogin } from '../lib/server.ts'
export type { CopyOptions, SftpClient } from '../lib/sftp/client.ts'
export type { Authority, ServerAuthentication, Verdict } from '../lib/userauth/authority.ts'
export type { Credentials } from '../lib/userauth/credentials.ts'
export type { Permissions } from '../lib/userauth/permissions.ts'
export {
  type CompletedProcess,
  type ConnectOptions,
  connect,
  type RunOptions,
  run,
  type SftpOptions,
  type SshClient,
} from './api/client.ts'
export { type ListenOptions, listen, type Peer, type ServeOptions, type SshServer, serve } from './api/server.ts'
