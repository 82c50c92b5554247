/** OpenSSH's text files. */

export { ConfigError } from './errors.ts'
export { type LoadSshConfigOptions, loadSshConfig, loadSshdConfig } from './load.ts'
export { printSshConfig } from './print.ts'
export { resolveSshConfig, type SshConfig, type SshConfigInputs } from './resolve-ssh-config.ts'
export { resolveSshdConfig, type SshdConfig, type SshdConfigInputs } from './resolve-sshd-config.ts'
