// A status line of a terminal is drawn again and again and is never wider than the terminal of that moment.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::base {

/// "epoch 3/10", and how much it matters: where not all parts fit, those of the lowest weight are left out.
struct StatusPart {
    std::string text;
    int weight = 0;
};

/// The parts that fit `columns`, in their order with two blanks between. Of parts of the same weight the last
/// is left out first; the weightiest stays, cut to what fits.
std::string fitted(std::vector<StatusPart> parts, int columns);

/// A line in rows of at most `columns`, all but the first indented. A row ends between two parts (two blanks)
/// where it can, else between two words; a word that is longer is a row.
std::string in_rows(std::string_view line, int columns);

/// The bar of a progress, `done` from 0 to 1.
std::string status_bar(double done);

/// Columns of the terminal behind this descriptor at this moment, else the variable COLUMNS, else 80.
int terminal_columns(int descriptor);

/// Whether what is written there is a terminal that can go back in a line: TERM is set and is not "dumb".
bool can_redraw(int descriptor);

class StatusLine {
  public:
    /// Writes to `out`; `terminal` is the descriptor that its width is asked of. A stream in place of stderr has
    /// none of its own.
    StatusLine(std::FILE* out, int terminal) : out_(out), terminal_(terminal) {}
    /// In place of what was drawn before.
    void draw(const std::vector<StatusPart>& parts);
    /// Removes what was drawn.
    void erase();
    /// What was drawn stays; the next one comes below.
    void keep();

  private:
    std::string to_start(int columns) const;
    std::FILE* out_;
    int terminal_;
    int drawn_ = 0;  ///< columns of what is there now
};

}  // namespace hearth::base
