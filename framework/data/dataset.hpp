// A data set has images by index, with the columns of their manifest. Phantoms and files look the same from
// here.
#pragma once

#include <cstdint>
#include <memory>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "images/image.hpp"
#include "images/manifest.hpp"

namespace hearth::data {

class Dataset {
  public:
    virtual ~Dataset() = default;
    virtual std::int64_t size() const = 0;
    /// CV_32F [size, size] in [0, 1]. Throws ImageError or DataError. Called from several threads at once.
    virtual cv::Mat load(std::int64_t index) const = 0;
    /// The file, or what stands for it.
    virtual std::string name(std::int64_t index) const = 0;
    /// The cell of a column, nothing when the data set has no such column.
    virtual std::optional<std::string> cell(std::int64_t index, const std::string& column) const = 0;
    /// The columns there are.
    virtual std::vector<std::string> columns() const { return {}; }
    /// The file that the row's cell of masks names and that is not there, else "".
    virtual std::string missing_mask(std::int64_t /*index*/, const std::string& /*column*/) const { return {}; }
    /// Whether masks come without a column: images are generated with them.
    virtual bool draws_masks() const { return false; }
    /// What was noticed when it was opened, a sentence, or "".
    virtual std::string note() const { return {}; }
    /// CV_8U [size, size], 255 inside, of a column of masks (images/mask.hpp); nothing where it is not known,
    /// or where the data set has no masks. Throws ImageError, or DataError for a mask of another shape than its
    /// image. Called from several threads at once.
    virtual std::optional<cv::Mat> mask(std::int64_t /*index*/, const std::string& /*column*/) const {
        return std::nullopt;
    }
};

/// Rows of a column of masks whose file is not there.
struct MissingMasks {
    std::int64_t count = 0;
    std::int64_t of = 0;  ///< rows that name a mask
    std::string first;    ///< the first of them: its image, and the file
    /// Whether the column, or the folder it starts at, is another than is meant.
    bool most() const { return 2 * count > of; }
    /// "found no file for 1 of 40 masks of column 'mask', such as .. of ..".
    std::string text(const std::string& column) const;
};

/// Looks for the files of a column of masks without opening one. Throws RecipeError, at `place`, where there is
/// no such column; generated images need none.
MissingMasks missing_masks(const Dataset& images, const std::string& column, const std::string& place);

/// Where images come from; see DataSpec and LabelledSpec in recipe/recipe.hpp.
struct DatasetRequest {
    std::string source;  ///< "phantom", or a manifest or folder
    std::string where;
    int size = 224;
    std::string fit = "stretch";
    std::int64_t max_pixels = 0;  ///< 0: the default of LoadOptions
    std::int64_t phantom_count = 0, phantom_seed = 0;
    double phantom_lesions = 0;
    /// Keys of the recipe and where they were written, in front of what is wrong with them: "a.toml:4:1:
    /// data.source"; "" = not told.
    std::string source_place = {}, where_place = {};
    std::string without_split = {};  ///< what to do where the filter names `split` and there is no such column
};

/// Images whose file is not there.
struct MissingImages {
    std::int64_t count = 0;
    std::int64_t of = 0;
    std::string first = {};
    /// "found no file for 2 of 40 images, such as ..", and why that may be.
    std::string text() const;
};

/// Looks for the files without opening one; generated images need none.
MissingImages missing_images(const Dataset& images);

/// "found no file for 40 of 40 images, such as ..", and what to do, where most of the files are not there: then
/// the table is wrong, or stands in the wrong folder. Otherwise empty.
std::string most_missing(const Dataset& images);

/// "found no column 'lable', expected one of path, label (did you mean 'label'?)".
std::string no_column(const Dataset& images, const std::string& column);

/// Opens a data set. Throws DataError when it is empty, RecipeError for a filter that does not fit.
std::shared_ptr<const Dataset> open_dataset(const DatasetRequest& request);

}  // namespace hearth::data
