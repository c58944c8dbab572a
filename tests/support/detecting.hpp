// The [detect] that tests share: which rows of phantoms are normal and tested, and a score of restorations.
#pragma once

#include <string>

namespace hearth::test {

inline const std::string detect_rows = R"(normal_where = 'split == "train" and abnormal == 0'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
)";

inline const std::string restore_score = R"([detect.scores.restore]
use = "error"
output = "student.restored"
patch = 8
)";

}  // namespace hearth::test
