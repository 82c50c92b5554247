import type { AgentClient } from '../../lib/agent/client.ts'
import type { KeyConstraints } from '../../lib/agent/constraints.ts'
import { CommandError } from '../../src/command/errors.ts'
import { askPassphrase } from '../../src/identity/passphrase.ts'
import type { AddCommandLine } from './command-line.ts'
import { problemText, say } from './problems.ts'
import { loadPublic } from './public-file.ts'

/** Has the agent take up, or drop, the keys of a PKCS#11 library; certificates for them come from files. */
export async function changeToken(
  client: AgentClient,
  line: AddCommandLine,
  constraints: KeyConstraints,
): Promise<boolean> {
  const { token = '', operands, quiet } = line
  const adding = line.action === 'add-token'
  const certificates = operands.map(readCertificate)
  try {
    if (adding) {
      const pin = await askPassphrase('Enter passphrase for PKCS#11: ', process.env)
      const grafted = line.certificates ? { certificates, certificatesOnly: !line.keys } : {}
      await client.addToken(token, pin, { ...constraints, ...grafted })
    } else {
      await client.removeToken(token)
    }
  } catch (error) {
    say(`Could not ${adding ? 'add' : 'remove'} card "${token}": ${problemText(error)}`)
    return false
  }
  if (!quiet) say(`Card ${adding ? 'added' : 'removed'}: ${token}`)
  return true
}

function readCertificate(file: string): Buffer {
  try {
    const { key, certificate } = loadPublic(file)
    return certificate?.blob ?? key.blob
  } catch (error) {
    throw new CommandError(`load certificate ${file}: ${problemText(error)}`, 255)
  }
}
