// Imports CheXpert 1.0 (Irvin et al. 2019, https://arxiv.org/abs/1901.07031), the full and the small edition.
// Tables are train.csv, valid.csv and, since its release, test_labels.csv (without sex, age and view). Their
// column Path begins with a folder that may not be there:
// "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg". The full edition unpacks to
// "CheXpert-v1.0 batch 2 (train 1)" and so on, with or without train/ inside.
#include <hearth/error.hpp>
#include <optional>

#include "images/import/files.hpp"
#include "images/import/import.hpp"
#include "images/import/labels14.hpp"
#include "images/import/projection.hpp"
#include "images/import/table.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

/// Finds the files that the column Path means.
class Paths {
  public:
    explicit Paths(const fs::path& folder) : roots_(folders_in(folder)) {
        roots_.insert(roots_.begin(), folder);
    }

    /// Empty when there is no such file. Tries the place that served last time first.
    fs::path find(const fs::path& listed) {
        if (auto file = at(root_, skip_, listed); !file.empty()) return file;
        for (std::size_t root = 0; root < roots_.size(); ++root) {
            for (int skip = 0; skip < 3; ++skip) {
                if (auto file = at(root, skip, listed); !file.empty()) {
                    root_ = root;
                    skip_ = skip;
                    return file;
                }
            }
        }
        return {};
    }

  private:
    /// `listed` without its first `skip` folders below a root, if it is there.
    fs::path at(std::size_t root, int skip, const fs::path& listed) const {
        fs::path file = roots_[root];
        for (const fs::path& part : listed) {
            if (skip-- <= 0) file /= part;
        }
        return fs::is_regular_file(file) ? file : fs::path();
    }

    std::vector<fs::path> roots_;
    std::size_t root_ = 0;
    int skip_ = 0;
};

/// The folder of the path that starts with `prefix`, such as patient00001.
std::string part_of_path(const fs::path& path, std::string_view prefix) {
    for (const fs::path& part : path) {
        if (part.string().starts_with(prefix)) return part.string();
    }
    return {};
}

class Reader {
  public:
    explicit Reader(const ImportRequest& request) : request_(request), paths_(request.folder) {}

    void read(const fs::path& file, const std::string& split) {
        const Table table(file);
        const ChexpertLabels labels(table, request_.uncertain);
        const std::size_t path = table.column("Path");
        const auto optional = [&table](std::string_view name) {
            return table.has(name) ? std::optional(table.column(name)) : std::nullopt;
        };
        const auto sex = optional("Sex"), age = optional("Age"), view = optional("Frontal/Lateral");
        const auto projection = optional("AP/PA");
        const auto cell = [](const base::CsvRecord& row, const std::optional<std::size_t>& column) {
            return column ? row.fields[*column] : std::string();
        };
        for (const base::CsvRecord& row : table.rows()) {
            const fs::path listed = row.fields[path];
            Film film;
            film.patient = part_of_path(listed, "patient");
            if (film.patient.empty())
                throw DataError(table.place(row) + ": found path '" + listed.string() +
                                "'; expected a folder such as patient00001 in it");
            film.file = paths_.find(listed);
            if (film.file.empty()) {
                missing_.add(listed.string());
                continue;
            }
            film.study = part_of_path(listed, "study");
            film.view = cell(row, view) == "Lateral" || listed.stem().string().ends_with("lateral") ? "lateral"
                                                                                                    : "frontal";
            film.projection = cell(row, projection);
            film.sex = sex_of(cell(row, sex));
            film.age = cell(row, age);
            film.labels = labels.of(row);
            film.split = split;
            set_.films.push_back(std::move(film));
        }
    }

    Imported finish(const std::string& listed_in) {
        missing_.settle(set_, request_, listed_in);
        return std::move(set_);
    }

  private:
    const ImportRequest& request_;
    Paths paths_;
    Imported set_{ChexpertLabels::names(), {}};
    MissingFiles missing_;
};

}  // namespace

Imported import_chexpert(const ImportRequest& request) {
    const fs::path train = need_table(request.folder, "train", "CheXpert");
    Reader reader(request);
    reader.read(train, "train");
    for (const auto& [stem, split] : {std::pair("valid", "val"), std::pair("test", "test")}) {
        const fs::path file = look_for(request.folder, stem, {".csv", ".csv.gz"});
        if (!file.empty()) reader.read(file, split);
    }
    return reader.finish(train.filename().string() + " and its like");
}

}  // namespace hearth::images
