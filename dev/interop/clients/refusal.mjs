// refusal is what a library makes of an answer that is an error.
export async function refusal(action) {
  try {
    await action()
  } catch (error) {
    const inner = error.error || !(error.cause instanceof Error) ? error : error.cause
    return { code: inner.code, error: inner.error ?? '', status: inner.status ?? inner.response?.status ?? 0 }
  }
  throw new Error('it was not refused')
}

// An application that waits for more than this would be stuck.
setTimeout(() => {
  console.error('not done')
  process.exit(1)
}, 60_000).unref()
