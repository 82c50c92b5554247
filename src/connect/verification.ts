import type { FingerprintHash } from '../../lib/keys/fingerprint.ts'
import { knownHostsCommand } from '../hostkeys/known-hosts-command.ts'
import type { VerifierOptions } from '../hostkeys/verifier.ts'
import { expandConfigCommand, expandConfigPath, type SshConfig } from '../openssh/resolve-ssh-config.ts'
import type { OpenOptions } from './options.ts'

export const fingerprintHashOf = ({ fingerprintHash }: SshConfig): FingerprintHash =>
  fingerprintHash.toLowerCase() as FingerprintHash

/** What the configuration says of host keys. `address` is undefined behind a proxy. */
export function verificationOf(options: OpenOptions, address: string | undefined): Omit<VerifierOptions, 'accepted'> {
  const { config, log } = options
  const expand = (file: string): string => expandConfigPath(config, file)
  const fingerprintHash = fingerprintHashOf(config)
  return {
    host: config.hostName,
    port: config.port,
    ...(address !== undefined && { address }),
    strictHostKeyChecking: config.strictHostKeyChecking,
    userKnownHostsFiles: config.userKnownHostsFile.map(expand),
    globalKnownHostsFiles: config.globalKnownHostsFile.map(expand),
    hashKnownHosts: config.hashKnownHosts,
    checkHostIP: config.checkHostIP,
    noHostAuthenticationForLocalhost: config.noHostAuthenticationForLocalhost,
    revokedHostKeys: config.revokedHostKeys.map(expand),
    hostKeyAlgorithms: config.hostKeyAlgorithms,
    caSignatureAlgorithms: config.caSignatureAlgorithms,
    fingerprintHash,
    visualHostKey: config.visualHostKey,
    verifyHostKeyDNS: config.verifyHostKeyDNS,
    lookUpSshfp: async host => (await import('../net/dns/sshfp.ts')).lookUpSshfp(host),
    ...(config.hostKeyAlias !== undefined && { hostKeyAlias: config.hostKeyAlias }),
    ...(config.knownHostsCommand !== undefined && {
      knownHostsCommand: knownHostsCommand(
        config.knownHostsCommand,
        (word, tokens) => expandConfigCommand(config, word, tokens),
        fingerprintHash,
      ),
    }),
    ask: async question => (config.batchMode ? undefined : options.ask?.(question, { echo: true })),
    print: options.print,
    log,
  }
}
