// Attention over edges, as Python calls it: one file, for both passes use the same kernels.
#include "attend_backward.h"
#include "attend_forward.h"
#include "export.h"

TOKENNET_EXPORT void tokennet_attend(const tokennet::Attend* call) { tokennet::forward(*call); }

TOKENNET_EXPORT int tokennet_attend_backward(const tokennet::Attend* call,
                                             const tokennet::AttendGradients* gradients) {
  return tokennet::backward(*call, *gradients) ? 0 : 1;
}
