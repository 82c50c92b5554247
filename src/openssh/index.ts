/** OpenSSH's text files: each parser takes text and gives values; only what begins with `load` opens files. */

export { formatAbsoluteTime, parseAbsoluteTime } from './absolute-time.ts'
export {
  type AllowedSigner,
  allowedSigners,
  judgeSigner,
  type SignerQuery,
  type SignerVerdict,
} from './allowed-signers.ts'
export { type LoginContext, matchAuthorizedKey } from './authorized-keys.ts'
export type { HostLookup, LookupRequest } from './canonicalize.ts'
export { ConfigError, type ConfigProblem } from './errors.ts'
export { type Explanation, explainSshConfig } from './explain.ts'
export {
  type EditedKnownHosts,
  hashKnownHosts,
  hostName,
  type KnownHost,
  knownHostLine,
  lookUpHost,
  lookUpKey,
  readKnownHosts,
  removeHost,
} from './known-hosts.ts'
export { type ConfigBlock, type ConfigLine, parseSshConfig } from './lexer.ts'
export { type IncludedText, type LintFinding, lintSshConfig, lintSshdConfig, type ReadIncludes } from './lint.ts'
export {
  type LoadSshConfigOptions,
  type LoadSshdConfigOptions,
  loadSshConfig,
  loadSshConfigWithDns,
  loadSshdConfig,
} from './load.ts'
export * from './moduli.ts'
export { matchHostname, matchPattern, matchPatternList } from './pattern.ts'
export { printSshConfig, printSshdConfig } from './print.ts'
export { resolveSshConfig, type SshConfig, type SshConfigInputs } from './resolve-ssh-config.ts'
export { resolveSshdConfig, type SshdConfig, type SshdConfigInputs } from './resolve-sshd-config.ts'
export { isRevoked } from './revoked-keys.ts'
export type { SshOptions } from './ssh-config.ts'
