import { readFileSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { hostKeyVerifier } from '../../src/hostkeys/verifier.ts'
import { lookUpSshfp } from '../../src/net/dns/sshfp.ts'

/** As a program: what our verifier says of a key for each host, by the DNS alone, in one process, as JSON. */
const { key, hosts } = JSON.parse(readFileSync(0, 'utf8')) as {
  readonly key: string
  readonly hosts: readonly string[]
}
const { key: publicKey } = parsePublicKeyLine(key)
const judged = hosts.map(async host => {
  const lines: string[] = []
  const say = (line: string): void => void lines.push(line)
  const verify = hostKeyVerifier({
    host,
    port: 22,
    strictHostKeyChecking: 'yes',
    userKnownHostsFiles: ['/dev/null'],
    globalKnownHostsFiles: [],
    hashKnownHosts: false,
    verifyHostKeyDNS: 'yes',
    lookUpSshfp: name => lookUpSshfp(name),
    ask: async () => undefined,
    print: say,
    log: { error: say, info: say, verbose: say, debug1: say },
  })
  try {
    await verify({ publicKey, algorithm: publicKey.type })
    return { status: 0, stderr: lines.join('\n') }
  } catch (error) {
    return { status: 255, stderr: [...lines, messageOf(error)].join('\n') }
  }
})
process.stdout.write(JSON.stringify(await Promise.all(judged)))
