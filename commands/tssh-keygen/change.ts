import { sanitize } from '../../lib/errors.ts'
import { PrivateKey } from '../../lib/keys/private-key.ts'
import {
  keyFile,
  type LoadedPrivate,
  openWithPassphrase,
  problemOf,
  requireFile,
  savePrivate,
  savePublic,
} from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { askPassphrase, complain, print, readAnswer } from './terminal.ts'

const touch = 0x01
const verification = 0x04

/** -p: writes a private key again, with another passphrase, format or (of a security key) other flags. */
export async function changePassphrase(settings: Settings): Promise<number> {
  const { text, options } = settings
  const file = keyFile(settings)
  requireFile(file)
  let opened: LoadedPrivate
  try {
    opened = await openWithPassphrase(file, () => text.get('P') ?? askPassphrase('Enter old passphrase: '))
  } catch (error) {
    return fatal(`Failed to load key ${file}: ${problemOf(error)}`)
  }
  if (opened.comment !== undefined) print(`Key has comment '${sanitize(opened.comment, true)}'\n`)
  const key = withFlags(opened.key, options, file)
  let passphrase = text.get('N')
  if (passphrase === undefined) {
    passphrase = await askPassphrase('Enter new passphrase (empty for no passphrase): ')
    if (passphrase !== (await askPassphrase('Enter same passphrase again: '))) {
      print('Pass phrases do not match.  Try again.\n')
      return 1
    }
  }
  try {
    await savePrivate(file, key, settings, { passphrase, comment: opened.comment ?? '' })
  } catch (error) {
    complain(`Saving key "${file}" failed: ${problemOf(error)}`)
    return 1
  } finally {
    key.dispose()
  }
  print('Your identification has been saved with the new passphrase.\n')
  return 0
}

/** What a security key's file asks of its device, as -O says. */
function withFlags(key: PrivateKey, options: readonly string[], file: string): PrivateKey {
  if (options.length === 0) return key
  const { numbers } = key
  if (numbers.kind !== 'sk-ed25519' && numbers.kind !== 'sk-ecdsa')
    return fatal(`FIDO-specific option requested for non-FIDO key ${file}`)
  let { flags } = numbers
  for (const option of options) {
    switch (option.toLowerCase()) {
      case 'touch-required':
        flags |= touch
        break
      case 'no-touch-required':
        flags &= ~touch
        break
      case 'verify-required':
        flags |= verification
        break
      case 'no-verify-required':
        flags &= ~verification
        break
      default:
        fatal(`Option "${option}" is unsupported for key passphrase change`)
    }
  }
  return new PrivateKey({ ...numbers, flags }, key.comment)
}

/** -c: writes a private key and its public half with another comment. */
export async function changeComment(settings: Settings): Promise<number> {
  const { text, format } = settings
  const file = keyFile(settings)
  requireFile(file)
  let opened: LoadedPrivate
  try {
    opened = await openWithPassphrase(file, () => text.get('P') ?? text.get('N') ?? askPassphrase('Enter passphrase: '))
  } catch (error) {
    return fatal(`Cannot load private key "${file}": ${problemOf(error)}`)
  }
  const { key, comment, passphrase } = opened
  if (key.numbers.kind !== 'ed25519' && (format === 'PEM' || format === 'PKCS8')) {
    complain('Comments are only supported for keys stored in the new format (-o).')
    return 1
  }
  print(comment === undefined ? 'No existing comment\n' : `Old comment: ${comment}\n`)
  let wanted = text.get('C')
  if (wanted === undefined) {
    print('New comment: ')
    wanted = readAnswer()
    if (wanted === undefined) return 1
  }
  if (wanted === comment) {
    print('No change to comment\n')
    return 0
  }
  try {
    await savePrivate(file, key, settings, { passphrase, comment: wanted })
  } catch (error) {
    complain(`Saving key "${file}" failed: ${problemOf(error)}`)
    return 1
  } finally {
    key.dispose()
  }
  try {
    savePublic(`${file}.pub`, key.publicKey, wanted)
  } catch (error) {
    fatal(`Unable to save public key to ${file}.pub: ${problemOf(error)}`)
  }
  print(wanted === '' ? 'Comment removed\n' : `Comment '${wanted}' applied\n`)
  return 0
}
